import { t } from '../../i18n/text';
import type { FlagDefinition } from '../../live/flags';
import type { FlagNeeds } from '../../live/types';
import { address } from '../../router';

/** Flags that serve off as soon as this one does not serve what they need. */
export function Dependents({ of, environment }: { of: readonly FlagNeeds[]; environment: string }) {
  if (of.length === 0) return <p class="soft">{t('flag.noDependents')}</p>;
  return (
    <ul class="plain" data-test="dependents">
      {of.map((one) => (
        <li key={one.flag}>
          <a href={address({ page: 'flag', flag: one.flag, environment })}>{one.flag}</a>
          {one.path.length > 2 && <span class="soft"> {t('flag.through', { path: one.path.slice(1, -1).join(', ') })}</span>}
        </li>
      ))}
    </ul>
  );
}

/** The same in a dialog, where nothing leads away. */
export function DependentsFirst({ of }: { of: readonly FlagNeeds[] }) {
  if (of.length === 0) return <p class="soft">{t('flag.noDependents')}</p>;
  return (
    <div class="notice" data-test="dependents-first">
      <p>{t('flag.dependentsToo', { n: of.length })}</p>
      <ul class="plain">
        {of.map((one) => (
          <li key={one.flag}>
            <b>{one.flag}</b>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The flags that this one needs. */
export function Prerequisites({ flag, environment }: { flag: FlagDefinition; environment: string }) {
  const needed = flag.prerequisites ?? [];
  if (needed.length === 0) return <p class="soft">{t('flag.noPrerequisites')}</p>;
  return (
    <ul class="plain" data-test="prerequisites">
      {needed.map((one) => (
        <li key={one.flag}>
          <a href={address({ page: 'flag', flag: one.flag, environment })}>{one.flag}</a>{' '}
          {t('flag.mustServe', { variant: one.variant })}
        </li>
      ))}
    </ul>
  );
}
