/** Killing, lifting, disabling: what is asked first, and what came of it. */

import { signal } from '@preact/signals';
import { stateChanges } from '../../core/flags/change';
import { t } from '../../i18n/text';
import { announce } from '../../live/announce';
import { send } from '../../live/api';
import type { ChangedView, FlagView, FlagsKilledView, FlagsLiftedView } from '../../live/types';
import { Icon } from '../icons';
import { Raw } from '../states';
import { confirm } from './confirm';
import { DependentsFirst } from './dependents';

/** What became of what was asked last, until something else is. */
interface Outcome {
  words: string;
  inForce: boolean;
  note: string | null;
  unconfirmed: string[];
  recorded: boolean;
}

const outcome = signal<Outcome | null>(null);

export function forget(): void {
  outcome.value = null;
}

export function askKill(view: FlagView | null, done: () => void): void {
  const key = view?.flag.key;
  confirm({
    title: key === undefined ? t('kill.allTitle') : t('kill.title', { flag: key }),
    effect: t(key === undefined ? 'kill.allEffect' : 'kill.effect'),
    label: key === undefined ? t('kill.all') : t('kill.one'),
    danger: true,
    reason: 'optional',
    more: view && <DependentsFirst of={view.dependents} />,
    run: async (reason) => {
      const body = key === undefined ? { all: true, reason } : { names: [key], reason };
      const answer = await send('POST', '/api/v1/flag-set/kill', body);
      const killed = (await answer.json()) as FlagsKilledView;
      const what = key ?? t('kill.everything');
      tell({
        words: t(killed.in_force ? 'kill.done' : 'kill.notYet', { what, epoch: killed.epoch, n: killed.confirmed }),
        inForce: killed.in_force,
        note: killed.note ?? null,
        unconfirmed: killed.unconfirmed,
        recorded: killed.recorded,
      });
      announce(killed.in_force ? 'say.killed' : 'say.killSent', { what });
      done();
    },
  });
}

export function askLift(view: FlagView | null, done: () => void): void {
  const key = view?.flag.key;
  confirm({
    title: key === undefined ? t('lift.allTitle') : t('lift.title', { flag: key }),
    effect: t(key === undefined ? 'lift.allEffect' : 'lift.effect'),
    label: t('lift.one'),
    danger: false,
    reason: 'needed',
    run: async (reason) => {
      const body = key === undefined ? { all: true, reason } : { names: [key], reason };
      const answer = await send('POST', '/api/v1/flag-set/lift', body);
      const lifted = (await answer.json()) as FlagsLiftedView;
      const what = key ?? t('kill.everything');
      tell({ ...told(lifted), words: t('lift.done', { what }) });
      announce('say.lifted', { what });
      done();
    },
  });
}

/** Disables a flag in one environment, or enables it again; its rules stay. */
export function askState(view: FlagView, environment: string, enabled: boolean, done: () => void): void {
  const flag = view.definition;
  const key = view.flag.key;
  const values = { flag: key, environment };
  confirm({
    title: t(enabled ? 'state.enableTitle' : 'state.disableTitle', values),
    effect: t(enabled ? 'state.enableEffect' : 'state.disableEffect', values),
    label: t(enabled ? 'state.enable' : 'state.disable', values),
    danger: !enabled,
    reason: 'needed',
    more: !enabled && <DependentsFirst of={view.dependents} />,
    run: async (reason) => {
      const changes = stateChanges(key, flag, environment, enabled);
      const answer = await send('PATCH', '/api/v1/flag-set', { revision: view.revision, changes, reason });
      tellChanged((await answer.json()) as ChangedView);
      done();
    },
  });
}

export function tellChanged(changed: ChangedView): void {
  tell({ ...told(changed), words: t('flag.saved', { n: changed.revision }) });
  announce('say.saved', { n: String(changed.revision) });
}

function told(view: { in_force: boolean; note?: string | null }): Omit<Outcome, 'words'> {
  return { inForce: view.in_force, note: view.note ?? null, unconfirmed: [], recorded: true };
}

function tell(what: Outcome): void {
  outcome.value = what;
}

export function LastOutcome() {
  const now = outcome.value;
  if (!now) return null;
  return (
    <div class={now.inForce ? 'outcome good' : 'outcome waits'} data-test="outcome">
      <p>
        <Icon shape={now.inForce ? 'passed' : 'clock'} />
        <strong>{now.words}</strong>
      </p>
      {!now.inForce && (
        <p>
          {t('flag.notInForce')} <Raw>{now.note ?? ''}</Raw>
        </p>
      )}
      {!now.recorded && <p>{t('kill.notRecorded')}</p>}
      {now.unconfirmed.length > 0 && <p>{t('kill.unconfirmed', { who: now.unconfirmed.join(', ') })}</p>}
      <button type="button" class="quiet" onClick={forget}>
        {t('help.close')}
      </button>
    </div>
  );
}
