/** A release as gates that a ship passes. */

import type { Key } from '../i18n/text';
import type { ReleaseView, StageView } from '../live/types';
import { shareOf, shareWords, span } from './format';

export type GateState = 'passed' | 'here' | 'closed' | 'turned' | 'entered';

/** Words of the page, words of the server or of people, or the first before the second. */
export interface Said {
  key?: Key;
  values?: Record<string, string>;
  /** The server's own words, in English. */
  raw?: string;
}

export interface Gate {
  id: string;
  /** A word of the page, or of the plan. */
  name: Said;
  state: GateState;
  /** How high the water stands behind it, 0 to 1. */
  level: number;
  /** What it waits for right now, or why it was left. */
  waits: Said[];
  /** How much of its least watch is over, 0 to 1; absent where there is none to show. */
  watched?: number;
  /** Its times: least watch, budget. */
  times: Said[];
  overBudget: boolean;
}

const BEFORE = ['queued', 'preparing', 'preflight', 'before', 'deploying', 'canary checks'];
const AFTER = ['after', 'hand-over', 'promoted'];

/** Where on its way it stands: -1 before the first gate, a stage's index, or past all. */
export function position(release: ReleaseView): number {
  if (BEFORE.includes(release.phase)) return -1;
  if (AFTER.includes(release.phase)) return release.stages.length;
  const stage = /^stage (\d+)$/.exec(release.phase)?.[1];
  if (stage !== undefined) return Number(stage) - 1;
  // On its way back, or over: as far as it came.
  const entered = release.stages.map((one) => one.entered_at_us != null).lastIndexOf(true);
  return release.outcome?.startsWith('promoted') ? release.stages.length : entered;
}

export function gates(release: ReleaseView, nowMs: number): Gate[] {
  const at = position(release);
  const over = release.outcome != null;
  const back = release.returning_because != null || (over && !release.outcome?.startsWith('promoted'));
  const stateOf = (index: number): GateState => {
    if (index < at) return 'passed';
    if (index > at) return 'closed';
    if (back) return 'turned';
    return over ? (index >= release.stages.length ? 'passed' : 'entered') : 'here';
  };
  return [
    harbour(release, stateOf(-1)),
    ...release.stages.map((stage, index) => stageGate(release, stage, index, stateOf(index), nowMs)),
    sea(release, stateOf(release.stages.length)),
  ];
}

function harbour(release: ReleaseView, state: GateState): Gate {
  return {
    id: 'checks',
    name: { key: 'gate.checks' },
    state,
    level: 0.06,
    waits: state === 'here' ? general(release) : turnedWhy(release, state),
    times: [],
    overBudget: false,
  };
}

function sea(release: ReleaseView, state: GateState): Gate {
  const waits: Said[] = state === 'here' ? general(release) : [];
  return { id: 'stable', name: { key: 'gate.stable' }, state, level: 1, waits, times: [], overBudget: false };
}

function stageGate(release: ReleaseView, stage: StageView, index: number, state: GateState, nowMs: number): Gate {
  const gate: Gate = {
    id: `stage-${index}`,
    name: { raw: shareWords(stage.to) },
    state,
    level: level(release.stages, index),
    waits: [],
    times: [],
    overBudget: stage.over_budget ?? false,
  };
  gate.times.push(...whom(stage));
  const watchS = stage.for_ms / 1000;
  if (watchS > 0 && state !== 'passed') gate.times.push({ key: 'gate.watch', values: { time: span(watchS) } });
  if (stage.budget_ms != null) {
    gate.times.push({ key: 'gate.budget', values: { time: span(stage.budget_ms / 1000) } });
  }
  if (state === 'passed') {
    if (stage.entered_at_us != null && stage.left_at_us != null) {
      const took = (stage.left_at_us - stage.entered_at_us) / 1e6;
      gate.times.push({ key: 'gate.took', values: { time: span(took) } });
    }
    if (stage.left_because) gate.waits.push({ raw: stage.left_because });
  } else if (state === 'here') {
    gate.waits = here(release, stage, gate, nowMs);
  } else {
    gate.waits = turnedWhy(release, state);
  }
  return gate;
}

/** Whom of those who are known the stage exposes. */
function whom(stage: StageView): Said[] {
  const reached = stage.reached;
  if (!reached) return [];
  const said: Said[] = [];
  if (reached.of > 0) {
    said.push({ key: 'gate.tenants', values: { n: String(reached.tenants), of: String(reached.of) } });
  }
  if (reached.people) said.push({ key: 'gate.people', values: { n: String(reached.people) } });
  return said;
}

function here(release: ReleaseView, stage: StageView, gate: Gate, nowMs: number): Said[] {
  const waits = general(release);
  if (stage.confirmed_at_us == null) {
    waits.unshift({ key: 'wait.set', values: { share: shareWords(stage.to) } });
    return waits;
  }
  const left = stage.confirmed_at_us / 1e6 + stage.for_ms / 1000 - nowMs / 1000;
  const whole = stage.for_ms / 1000;
  gate.watched = whole <= 0 ? 1 : Math.min(1, Math.max(0, 1 - left / whole));
  if (left > 0) waits.push({ key: 'wait.watch', values: { time: span(left) } });
  else if (waits.length === 0) waits.push({ key: 'wait.proof' });
  if (release.judged) waits.push({ raw: release.judged });
  return waits;
}

/** What a release waits for, whichever gate it stands at. */
function general(release: ReleaseView): Said[] {
  const waits: Said[] = [];
  if (release.place_in_line != null) {
    waits.push({ key: 'wait.line', values: { place: String(release.place_in_line) } });
  }
  if (release.paused_by != null) {
    waits.push(
      release.paused_because
        ? { key: 'wait.pausedWhy', values: { who: release.paused_by, why: release.paused_because } }
        : { key: 'wait.paused', values: { who: release.paused_by } },
    );
  }
  if (release.reaches_nobody_because) waits.push({ key: 'wait.nobody', raw: release.reaches_nobody_because });
  if (release.hold) waits.push({ key: 'wait.hold', raw: release.hold });
  for (const task of release.tasks) {
    if (task.result == null) waits.push({ key: 'wait.task', raw: task.title });
  }
  if (!release.phase.startsWith('stage') && release.missing_sign_offs.length > 0) {
    waits.push({ key: 'wait.sign', values: { roles: release.missing_sign_offs.join(', ') } });
  }
  if (release.not_recorded_because) waits.push({ key: 'wait.record', raw: release.not_recorded_because });
  return waits;
}

function turnedWhy(release: ReleaseView, state: GateState): Said[] {
  const why = release.returning_because ?? release.reason;
  return state === 'turned' && why ? [{ raw: why }] : [];
}

/** Segments and warm-ups have no share of their own: a little water, more with each. */
function level(stages: StageView[], index: number): number {
  const share = shareOf(stages[index]?.to ?? '');
  if (share !== null) return Math.max(0.12, Math.min(1, 0.12 + share * 0.88));
  return Math.min(0.3, 0.08 + 0.04 * index);
}

/** In one word how a release is doing; each has a shape of its own. */
export type Mood = 'queued' | 'running' | 'held' | 'paused' | 'returning' | 'promoted' | 'back' | 'refused' | 'failed';

export function moodOf(release: ReleaseView): Mood {
  switch (release.outcome) {
    case 'promoted':
    case 'promoted_early':
      return 'promoted';
    case 'rolled_back':
    case 'aborted':
      return 'back';
    case 'refused':
      return 'refused';
    case 'rollback_failed':
      return 'failed';
    default:
  }
  if (release.place_in_line != null || release.phase === 'queued') return 'queued';
  if (release.returning_because != null) return 'returning';
  if (release.phase === 'promoted') return 'promoted';
  if (release.paused_by != null) return 'paused';
  if (release.hold != null) return 'held';
  return 'running';
}
