import { type Affected, named } from '../../core/flags/affected';
import { t } from '../../i18n/text';
import type { Change } from '../../live/flags';
import { Changes } from './changes';

const SHOWN = 20;

/** Whose answers would change, before anything does. */
export function WouldChangePanel({
  flag,
  changes,
  asked,
  affected,
  groups,
  cut,
  recent,
  unknown,
}: {
  flag: string;
  changes: readonly Change[];
  asked: number;
  affected: number;
  groups: readonly Affected[];
  cut: boolean;
  /** How many of those that were asked about asked themselves lately. */
  recent: number;
  /** Why that is not known. */
  unknown: string | null;
}) {
  return (
    <div class="would-change" data-test="would-change" data-affected={affected} data-asked={asked} data-recent={recent}>
      <h3>{t('would.title')}</h3>
      <p>
        <strong>
          {asked === 0 ? t('would.nobodyAsked') : t('would.count', { n: affected, all: asked })}
        </strong>
      </p>
      {unknown !== null ? (
        <p class="notice">{t('would.unknown', { why: unknown })}</p>
      ) : (
        recent > 0 && <p class="soft">{t('would.recent', { n: recent })}</p>
      )}
      <ul class="groups">
        {groups.map((group) => (
          <li key={JSON.stringify([group.flag, group.before, group.after])} data-flag={group.flag}>
            <b>{group.flag}</b> {group.before ?? '–'} → <b>{group.after ?? '–'}</b>: {group.who.length}{' '}
            <span class="soft">
              {group.who
                .slice(0, SHOWN)
                .map(named)
                .join(', ')}
              {group.who.length > SHOWN && ` ${t('flag.more', { n: group.who.length - SHOWN })}`}
            </span>
          </li>
        ))}
      </ul>
      {cut && <p class="notice">{t('would.cut')}</p>}
      <h3>{t('would.fields')}</h3>
      <Changes changes={changes} flag={flag} />
    </div>
  );
}
