import { shareWords } from '../../core/format';
import { type Turn } from '../../core/flags/list';
import { t } from '../../i18n/text';
import type { FlagHere, FlagRow } from '../../live/types';
import { address } from '../../router';
import { Icon } from '../icons';

/** How a flag stands: each mark has a shape and a word of its own. */
export function FlagBadges({ row, here }: { row: FlagRow; here: FlagHere | undefined }) {
  return (
    <>
      {row.killed && (
        <span class="badge mood-failed" data-mark="killed">
          <Icon shape="fail" />
          {t('flag.killed')}
        </span>
      )}
      {here && !here.enabled && (
        <span class="badge mood-held" data-mark="disabled">
          <Icon shape="pause" />
          {t('flag.disabled')}
        </span>
      )}
      {row.stale && (
        <span class="badge mood-queued" data-mark="stale">
          <Icon shape="clock" />
          {t('flag.stale', { day: row.expires ?? '' })}
        </span>
      )}
    </>
  );
}

/** The release that turns a flag right now. */
export function TurnedBy({ turn }: { turn: Turn }) {
  const { release, variant } = turn;
  return (
    <a class="badge mood-running" data-mark="release" href={address({ page: 'release', id: release.release })}>
      <Icon shape="run" />
      {t('flag.turnedBy', { service: release.service, variant, share: shareWords(release.share) })}
    </a>
  );
}
