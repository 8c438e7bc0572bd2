import { killHeard, knowsStreams, silentOnKill, sinkState, tone, unnamed } from '../../core/flags/propagation';
import { millis } from '../../core/format';
import { t } from '../../i18n/text';
import { type Loaded, useLoad } from '../../live/load';
import { lang } from '../../live/settings';
import type { FlagStreamView, MeasuredView, PropagationView, SinkView } from '../../live/types';
import { Icon } from '../icons';
import { Failed, Raw, Time } from '../states';

const EVERY_MS = 3_000;
const SHAPES = { good: 'passed', tables: 'clock', guards: 'fail', waits: 'clock', bad: 'fail' } as const;
const SINKS = { reached: 'prop.sinkReached', behind: 'prop.sinkBehind', unknown: 'prop.sinkUnknown' } as const;
const TONES = { good: 'prop.good', tables: 'prop.tables', guards: 'prop.guards', waits: 'prop.waits', bad: 'prop.bad' } as const;

export function useStatus(): Loaded<PropagationView> {
  return useLoad<PropagationView>('/api/v1/flag-set/status', EVERY_MS);
}

/** What changes when a flag does: large lists are asked for again only then. Null until it is
 *  known, or not to be had. */
export function stampOf({ data, error }: Loaded<PropagationView>): string | null {
  if (data) return `${data.revision} ${data.kill_epoch}`;
  return error ? '' : null;
}

/** How far the flags have come: the proxy, and every stream that follows them there. */
export function Propagation({ status }: { status: Loaded<PropagationView> }) {
  const { data, error, again } = status;
  if (error && !data) return <Failed error={error} again={again} />;
  if (!data) return null;
  const how = tone(data);
  const more = unnamed(data);
  return (
    <section class={`card propagation is-${how}`} data-test="propagation" data-tone={how} aria-label={t('prop.label')}>
      <p>
        <Icon shape={SHAPES[how]} />
        <strong>{t(TONES[how], { revision: data.revision })}</strong>{' '}
        <span class="soft">
          {t('prop.proxy', { id: data.in_force ?? '–' })} ·{' '}
          {streams(data)}
        </span>
      </p>
      {data.trouble != null && (
        <p class="wrong">
          <Raw>{data.trouble}</Raw>
        </p>
      )}
      {data.guards?.map(({ guard, kind, trouble }) => (
        <p key={`${guard} ${kind}`} class="wrong" data-test="guard-trouble" data-kind={kind}>
          {t('prop.guard', { guard })} <Raw>{trouble}</Raw>
        </p>
      ))}
      {data.unrecorded > 0 && <p class="notice">{t('prop.unrecorded', { n: data.unrecorded })}</p>}
      {data.kill_epoch > 0 && (
        <p class="soft" data-test="kill-acknowledged" data-heard={killHeard(data)}>
          {kill(data)}
        </p>
      )}
      {data.measured?.map((measured) => (
        <Measured key={measured.address} measured={measured} />
      ))}
      {data.sinks?.map((sink) => (
        <Sink key={sink.name} sink={sink} />
      ))}
      {data.sinks_trouble != null && (
        <p class="wrong">
          <Raw>{data.sinks_trouble}</Raw>
        </p>
      )}
      {data.behind.length > 0 && (
        <details>
          <summary>{t('prop.behind', { n: data.behind.length + more })}</summary>
          <ul>
            {data.behind.map((stream, index) => (
              <Stream key={index} stream={stream} />
            ))}
          </ul>
          {more > 0 && <p class="soft">{t('flag.more', { n: more })}</p>}
        </details>
      )}
    </section>
  );
}

/** How long changes took to reach the server's own subscriber at a proxy. */
function Measured({ measured }: { measured: MeasuredView }) {
  const ms = (at: 'p50_ms' | 'p99_ms', kind: 'changes' | 'kills') => millis(measured[kind].seen?.[at], lang.value);
  return (
    <p class="soft" data-test="measured" data-connected={measured.connected}>
      {t('prop.measured', {
        p50: ms('p50_ms', 'changes'),
        p99: ms('p99_ms', 'changes'),
        killP50: ms('p50_ms', 'kills'),
        killP99: ms('p99_ms', 'kills'),
      })}
      {!measured.connected && (
        <>
          {'. '}
          {t('prop.notMeasured')} <Time us={measured.since_us} />
        </>
      )}
    </p>
  );
}

/** A table of an application that follows the flags. */
function Sink({ sink }: { sink: SinkView }) {
  const state = sinkState(sink);
  return (
    <p class={state === 'reached' ? 'soft' : 'notice'} data-test="sink" data-state={state}>
      {t(SINKS[state], { table: sink.table, name: sink.name })}
      {state === 'behind' && sink.behind_since_us != null && (
        <>
          {' '}
          <Time us={sink.behind_since_us} />
        </>
      )}
      {sink.error != null && (
        <>
          {': '}
          <Raw>{sink.error}</Raw>
        </>
      )}
      {sink.missing > 0 && ` ${t('prop.sinkMissing', { n: sink.missing })}`}
      {sink.drift > 0 && ` ${t('prop.sinkDrift', { n: sink.drift })}`}
    </p>
  );
}

function streams(status: PropagationView): string {
  if (!knowsStreams(status)) return t('prop.streamsUnknown');
  if (status.streams === 0) return t('prop.noStreams');
  return t('prop.streams', { told: status.told, fetched: status.fetched, all: status.streams });
}

function kill(status: PropagationView): string {
  const epoch = status.kill_epoch;
  switch (killHeard(status)) {
    case 'unknown':
      return t('prop.killUnknown', { epoch });
    case 'heard':
      return t('prop.killHeard', { epoch });
    default: {
      const who = silentOnKill(status).map((one) => one.who);
      return t('prop.killSilent', { epoch, who: (status.current ? who : ['proxy', ...who]).join(', ') || '–' });
    }
  }
}

function Stream({ stream }: { stream: FlagStreamView }) {
  const at = (seen: [number, number] | null | undefined) => (seen ? `${seen[0]}.${seen[1]}` : '–');
  return (
    <li>
      <Raw>{stream.who}</Raw>{' '}
      <span class="soft">
        {t('prop.stream', { told: at(stream.told), fetched: at(stream.fetched) })} <Time us={stream.since_us} />
      </span>
    </li>
  );
}
