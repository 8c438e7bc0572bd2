import { besides } from '../../core/flags/change';
import { t } from '../../i18n/text';
import { announce } from '../../live/announce';
import { send } from '../../live/api';
import { useLoad } from '../../live/load';
import type { FlagEntryView } from '../../live/types';
import { Failed, Loading, Raw, Time } from '../states';
import { Changes } from './changes';
import { confirm } from './confirm';

const EVERY_MS = 10_000;
const MOST = 50;
const KINDS = {
  changed: 'past.changed',
  killed: 'past.killed',
  lifted: 'past.lifted',
  'tester-granted': 'past.granted',
} as const;

/** What became of a flag: by whom, why, from what to what. */
export function FlagHistory({
  flag,
  mayChange,
  nudge,
  done,
}: {
  flag: string;
  mayChange: boolean;
  nudge: unknown;
  done: () => void;
}) {
  const path = `/api/v1/flags/${encodeURIComponent(flag)}/history?limit=${MOST}`;
  const { data, error, again } = useLoad<FlagEntryView[]>(path, EVERY_MS, nudge);
  if (error && !data) return <Failed error={error} again={again} />;
  if (!data) return <Loading />;
  if (data.length === 0) return <p class="soft">{t('past.none')}</p>;
  return (
    <ol class="past" data-test="history">
      {data.map((entry) => (
        <Entry key={entry.position} entry={entry} flag={flag} mayChange={mayChange} done={done} />
      ))}
    </ol>
  );
}

function Entry({
  entry,
  flag,
  mayChange,
  done,
}: {
  entry: FlagEntryView;
  flag: string;
  mayChange: boolean;
  done: () => void;
}) {
  const { revision } = entry;
  const kind = KINDS[entry.kind as keyof typeof KINDS] ?? KINDS.changed;
  const all = entry.kind !== 'changed' && entry.flags == null;
  return (
    <li data-kind={entry.kind} data-revision={revision ?? undefined}>
      <p class="what">
        <strong>{t(all ? (entry.kind === 'killed' ? 'past.killedAll' : 'past.liftedAll') : kind, { who: entry.to ?? '' })}</strong>
        <span class="soft">
          <Time us={entry.decided_at_us ?? entry.at_us} /> · {t('timeline.by', { who: entry.actor })}
          {revision != null && ` · ${t('past.revision', { n: revision })}`}
        </span>
      </p>
      {entry.reason !== '' && (
        <p class="why">
          <Raw>{entry.reason}</Raw>
        </p>
      )}
      {entry.grant && (
        <p>
          <Raw>{`${granted(entry.grant.variants)} · ${entry.grant.environment}`}</Raw> ·{' '}
          {t('past.until')} <Time us={entry.grant.until_us} />
        </p>
      )}
      {entry.changes.length > 0 && <Changes changes={entry.changes} flag={flag} />}
      {mayChange && entry.kind === 'changed' && revision != null && (
        <button
          type="button"
          class="quiet"
          data-verb="revert"
          onClick={() => askRevert(revision, entry, flag, done)}
        >
          {t('past.revert', { n: revision })}
        </button>
      )}
    </li>
  );
}

/** Such as `exec-reports=on, exec-export=on`. */
function granted(variants: Record<string, string>): string {
  const shown = Object.entries(variants).map(([flag, variant]) => `${flag}=${variant}`);
  return shown.join(', ');
}

function askRevert(revision: number, entry: FlagEntryView, flag: string, done: () => void): void {
  confirm({
    title: t('past.revertTitle', { n: revision }),
    effect: t('past.revertEffect', { who: entry.actor }),
    label: t('past.revert', { n: revision }),
    danger: false,
    reason: 'needed',
    more: <TakenBack revision={revision} entry={entry} flag={flag} />,
    run: async (reason) => {
      await send('POST', '/api/v1/flag-set/revert', { revision, reason });
      announce('say.reverted', { n: String(revision) });
      done();
    },
  });
}

/** Everything that would be taken back: a change may have touched more than this flag. */
function TakenBack({ revision, entry, flag }: { revision: number; entry: FlagEntryView; flag: string }) {
  const { data } = useLoad<FlagEntryView[]>('/api/v1/flag-set/history?limit=1000');
  const whole = data?.find((one) => one.revision === revision);
  const others = besides(whole?.changes ?? [], flag);
  return (
    <>
      <Changes changes={entry.changes.map((one) => ({ ...one, before: one.after, after: one.before }))} flag={flag} />
      {others.length > 0 && (
        <div class="notice">
          <p>{t('past.alsoBack', { n: others.length })}</p>
          <Changes changes={others.map((one) => ({ ...one, before: one.after, after: one.before }))} flag={null} />
        </div>
      )}
    </>
  );
}
