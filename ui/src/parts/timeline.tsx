import { useState } from 'preact/hooks';
import { type Entry, type Evidence, type SideNumbers, entries } from '../core/decisions';
import { count, decimal, millis, percent } from '../core/format';
import { OUTCOMES, known, t } from '../i18n/text';
import { lang } from '../live/settings';
import type { Events } from '../live/events';
import type { ReleaseView } from '../live/types';
import { Icon, type Shape } from './icons';
import { Failed, Loading, Raw, Time } from './states';

const TONES = { plain: 'closed', forward: 'run', wait: 'hold', back: 'back' } as const satisfies Record<
  Entry['tone'],
  Shape
>;

/** What happened, newest first while it goes on and oldest first when it is over. */
export function Timeline({ events, release }: { events: Events; release: ReleaseView }) {
  const [all, setAll] = useState(false);
  if (events.error && events.list.length === 0) return <Failed error={events.error} />;
  if (!events.loaded) return <Loading />;
  const list = entries(events.list, release.stages).filter((one) => all || !one.detail);
  if (release.outcome == null) list.reverse();
  return (
    <>
      <label class="check">
        <input type="checkbox" checked={all} onChange={(event) => setAll(event.currentTarget.checked)} />
        {t('timeline.all')}
      </label>
      <ol class="timeline" data-test="timeline">
        {list.map((one) => (
          <Item key={one.position} entry={one} />
        ))}
      </ol>
      {list.length === 0 && <p class="soft">{t('timeline.none')}</p>}
    </>
  );
}

function Item({ entry }: { entry: Entry }) {
  const outcome = entry.values.outcome;
  const values = outcome === undefined ? entry.values : { outcome: known(OUTCOMES, outcome) };
  return (
    <li class={`tone-${entry.tone}`} data-kind={entry.key}>
      <span class="knot">
        <Icon shape={TONES[entry.tone]} />
      </span>
      <div>
        <p class="what">
          <strong>{t(entry.key, values)}</strong>
          <span class="soft">
            <Time us={entry.atUs} /> · {t('timeline.by', { who: entry.by })}
          </span>
        </p>
        {entry.why && entry.why !== entry.evidence?.summary && (
          <p class="why">
            <Raw>{entry.why}</Raw>
          </p>
        )}
        {entry.evidence && <Rests evidence={entry.evidence} />}
      </div>
    </li>
  );
}

/** What a decision rests on, in words and in numbers. */
function Rests({ evidence }: { evidence: Evidence }) {
  const { canary, stable, margins } = evidence;
  return (
    <div class="evidence">
      <p>
        <Raw>{evidence.summary}</Raw>
      </p>
      {(canary || stable || margins.length > 0) && (
        <details>
          <summary>{t('evidence.numbers')}</summary>
          {(canary || stable) && (
            <div class="scroll" tabIndex={0} role="region" aria-label={t('evidence.numbers')}>
              <table>
                <thead>
                  <tr>
                    <th scope="col">{t('num.version')}</th>
                    <th scope="col">{t('num.requests')}</th>
                    <th scope="col">{t('num.failures')}</th>
                    <th scope="col">{t('num.errors')}</th>
                    <th scope="col">p95</th>
                  </tr>
                </thead>
                <tbody>
                  {stable && <Row name={t('side.stable')} side="stable" numbers={stable} />}
                  {canary && <Row name={t('side.canary')} side="canary" numbers={canary} />}
                </tbody>
              </table>
            </div>
          )}
          {margins.length > 0 && (
            <ul>
              {margins.map((margin) => (
                <li key={margin.metric}>
                  {t(margin.proved === null ? 'evidence.notProved' : 'evidence.proved', {
                    metric: margin.unit === 'rate' ? t('num.errors') : margin.metric,
                    asked: bound(margin.asked, margin.unit),
                    proved: margin.proved === null ? '' : bound(margin.proved, margin.unit),
                  })}
                </li>
              ))}
            </ul>
          )}
        </details>
      )}
    </div>
  );
}

function bound(value: number, unit: 'rate' | 'latency'): string {
  return `+${decimal(value * 100, lang.value, 1)} ${unit === 'rate' ? 'pp' : '%'}`;
}

function Row({ name, side, numbers }: { name: string; side: 'stable' | 'canary'; numbers: SideNumbers }) {
  return (
    <tr>
      <th scope="row">
        <span class={`key ${side}`} aria-hidden="true" />
        {name}
      </th>
      <td>{count(numbers.requests, lang.value)}</td>
      <td>{count(numbers.failures, lang.value)}</td>
      <td>{percent(numbers.errorRate, lang.value)}</td>
      <td>{millis(numbers.p95Ms, lang.value)}</td>
    </tr>
  );
}
