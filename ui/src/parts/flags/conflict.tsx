import { problemsOf } from '../../core/flags/pointer';
import { t } from '../../i18n/text';
import type { ApiError } from '../../live/api';
import { useLoad } from '../../live/load';
import type { FlagEntryView, FlagView } from '../../live/types';
import { Failed, Loading, Raw, Time } from '../states';
import { Changes } from './changes';

/** Somebody else was first: who, what they changed, and the two ways to go on. */
export function Conflict({
  base,
  error,
  startAgain,
  keepMine,
}: {
  base: FlagView;
  error: ApiError;
  startAgain: (fresh: FlagView) => void;
  keepMine: (fresh: FlagView) => void;
}) {
  const key = base.flag.key;
  const path = `/api/v1/flags/${encodeURIComponent(key)}`;
  const fresh = useLoad<FlagView>(path, null, error);
  const past = useLoad<FlagEntryView[]>(`${path}/history?limit=20`, null, error);
  const since = past.data?.filter((one) => one.revision != null && one.revision > base.revision) ?? [];
  return (
    <div class="wrong conflict" role="alert" data-test="conflict">
      <p>
        <strong>{t('conflict.title')}</strong> {t('conflict.more')}
      </p>
      {since.map((one) => (
        <div key={one.position}>
          <p>
            {t('timeline.by', { who: one.actor })} · <Time us={one.at_us} />
            {one.reason && (
              <>
                {' — '}
                <Raw>{one.reason}</Raw>
              </>
            )}
          </p>
          <Changes changes={one.changes} flag={key} />
        </div>
      ))}
      {(past.data || past.error) && since.length === 0 && (
        <ul>
          {problemsOf(error.details).map((one) => (
            <li key={one.path}>
              <Raw>
                {one.path}: {one.message}
              </Raw>
            </li>
          ))}
        </ul>
      )}
      {fresh.error && <Failed error={fresh.error} again={fresh.again} />}
      {!fresh.data && !fresh.error && <Loading />}
      {fresh.data && (
        <div class="row">
          <button type="button" data-verb="theirs" onClick={() => fresh.data && startAgain(fresh.data)}>
            {t('conflict.theirs')}
          </button>
          <button type="button" data-verb="mine" onClick={() => fresh.data && keepMine(fresh.data)}>
            {t('conflict.mine')}
          </button>
        </div>
      )}
    </div>
  );
}
