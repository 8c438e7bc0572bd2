/** The page's own words, in the reader's language. */

import type { Mood } from '../core/gates';
import { lang } from '../live/settings';
import catalogue from './catalogue.json';

export type Key = keyof typeof catalogue;
type Values = Record<string, string | number>;

const ALL: Record<string, { en: string; es: string }> = catalogue;

export function t(key: Key, values: Values = {}): string {
  const words = ALL[key]?.[lang.value] ?? key;
  return words.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** Words that the server says: the known ones in the reader's language, others as they are. */
export function known(map: Readonly<Record<string, Key>>, word: string): string {
  const key = map[word];
  return key === undefined ? word : t(key);
}

export const MOODS: Readonly<Record<Mood, Key>> = {
  queued: 'mood.queued',
  running: 'mood.running',
  held: 'mood.held',
  paused: 'mood.paused',
  returning: 'mood.returning',
  promoted: 'mood.promoted',
  back: 'mood.back',
  refused: 'mood.refused',
  failed: 'mood.failed',
};

export const OUTCOMES: Readonly<Record<string, Key>> = {
  promoted: 'outcome.promoted',
  promoted_early: 'outcome.promotedEarly',
  rolled_back: 'outcome.rolledBack',
  aborted: 'outcome.aborted',
  refused: 'outcome.refused',
  rollback_failed: 'outcome.failed',
  held: 'outcome.held',
};

export const PHASES: Readonly<Record<string, Key>> = {
  queued: 'phase.queued',
  preparing: 'phase.preparing',
  preflight: 'phase.preflight',
  before: 'phase.before',
  deploying: 'phase.deploying',
  'canary checks': 'phase.canaryChecks',
  after: 'phase.after',
  'hand-over': 'phase.handOver',
  promoted: 'phase.promoted',
  'returning users': 'phase.lowering',
  'handing back': 'phase.handingBack',
  undoing: 'phase.undoing',
  'stopping the canary': 'phase.stopping',
  ended: 'phase.ended',
};

/** A phase in words; stages carry their number. */
export function phase(word: string): string {
  const stage = /^stage (\d+)$/.exec(word)?.[1];
  return stage === undefined ? known(PHASES, word) : t('phase.stage', { n: stage });
}
