import { place, written } from '../../core/flags/change';
import { t } from '../../i18n/text';
import type { Change } from '../../live/flags';

const SHOWN = 30;

/** Fields with what they were and what they are. */
export function Changes({ changes, flag }: { changes: readonly Change[]; flag: string | null }) {
  return (
    <ul class="changes">
      {changes.slice(0, SHOWN).map((one) => (
        <li key={one.path}>
          <span class="soft">{place(one.path, flag) || t('change.whole')}</span>
          <span class="aloud"> {t('change.was')} </span>
          <del>{written(one.before) ?? t('change.nothing')}</del>
          <span class="aloud"> {t('change.is')} </span>
          <ins>{written(one.after) ?? t('change.nothing')}</ins>
        </li>
      ))}
      {changes.length > SHOWN && <li>{t('flag.more', { n: changes.length - SHOWN })}</li>}
    </ul>
  );
}
