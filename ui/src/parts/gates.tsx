import { type Gate, type Said, gates } from '../core/gates';
import { t } from '../i18n/text';
import { now } from '../live/state';
import type { ReleaseView } from '../live/types';
import { Icon, type Shape, Ship } from './icons';
import { Raw } from './states';

const STATES = {
  passed: { key: 'gate.passed', shape: 'passed' },
  here: { key: 'gate.here', shape: 'run' },
  closed: { key: 'gate.closed', shape: 'closed' },
  turned: { key: 'gate.turned', shape: 'back' },
  entered: { key: 'gate.entered', shape: 'closed' },
} as const satisfies Record<Gate['state'], { key: string; shape: Shape }>;

/** The way of a release: chambers of a lock, each with the gate behind it. */
export function Gates({ release }: { release: ReleaseView }) {
  const all = gates(release, now.value);
  const turned = all.some((gate) => gate.state === 'turned');
  return (
    <ol class="locks" aria-label={t('gate.label')}>
      {all.map((gate) => (
        <li
          key={gate.id}
          class={`lock is-${gate.state}`}
          aria-current={gate.state === 'here' ? 'step' : undefined}
          data-gate={gate.id}
          data-state={gate.state}
        >
          <Chamber gate={gate} turned={turned} />
          <div class="lock-words">
            <h3>
              <Words said={gate.name} />
            </h3>
            <p class="lock-state">
              <Icon shape={STATES[gate.state].shape} />
              {t(STATES[gate.state].key)}
              {gate.overBudget && (
                <span class="badge over">
                  <Icon shape="clock" />
                  {t('gate.over')}
                </span>
              )}
            </p>
            {gate.watched !== undefined && (
              <progress max={1} value={gate.watched} aria-label={t('gate.watched')} />
            )}
            {gate.waits.length > 0 && (
              <ul class="waits">
                {gate.waits.map((one, index) => (
                  <li key={index}>
                    <Words said={one} />
                  </li>
                ))}
              </ul>
            )}
            {gate.times.length > 0 && (
              <p class="soft times">
                {gate.times.map((one, index) => (
                  <span key={index}>
                    <Words said={one} />
                  </span>
                ))}
              </p>
            )}
          </div>
        </li>
      ))}
    </ol>
  );
}

function Chamber({ gate, turned }: { gate: Gate; turned: boolean }) {
  const holds = gate.state === 'here' || gate.state === 'turned' || gate.state === 'entered';
  const height = `${Math.round(gate.level * 100)}%`;
  return (
    <div class="chamber" aria-hidden="true">
      <div class="water" style={{ height }}>
        {holds && <Ship turned={turned} />}
      </div>
      <div class="leaf" />
    </div>
  );
}

function Words({ said }: { said: Said }) {
  return (
    <>
      {said.key && t(said.key, said.values)}
      {said.key && said.raw && ' '}
      {said.raw && <Raw>{said.raw}</Raw>}
    </>
  );
}
