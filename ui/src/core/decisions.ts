/** Recorded events as what was decided, by whom, why, and on what it rested. */

import type { Key } from '../i18n/text';
import type { EventView, StageView } from '../live/types';
import { shareWords } from './format';

export interface SideNumbers {
  requests: number;
  failures: number;
  errorRate: number | null;
  p95Ms: number | null;
}

export interface ProvedMargin {
  metric: string;
  unit: 'rate' | 'latency';
  asked: number;
  proved: number | null;
}

export interface Evidence {
  summary: string;
  decision: 'PROCEED' | 'HOLD' | 'ROLLBACK' | null;
  canary: SideNumbers | null;
  stable: SideNumbers | null;
  margins: ProvedMargin[];
}

export type Tone = 'plain' | 'forward' | 'wait' | 'back';

export interface Entry {
  position: number;
  atUs: number;
  by: string;
  key: Key;
  values: Record<string, string>;
  /** Words of a person or of the judge. */
  why: string;
  evidence: Evidence | null;
  tone: Tone;
  /** Work and read-backs: not decided by anybody. */
  detail: boolean;
}

type Fields = Record<string, unknown>;

const asFields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null);

export function evidenceOf(value: unknown): Evidence | null {
  if (value == null) return null;
  const fields = asFields(value);
  const verdict = asFields(fields.verdict);
  const decision = text(verdict.decision);
  const margins = Array.isArray(verdict.margins) ? verdict.margins.map(asFields) : [];
  return {
    summary: text(fields.summary),
    decision: decision === 'PROCEED' || decision === 'HOLD' || decision === 'ROLLBACK' ? decision : null,
    canary: numbers(verdict.canary),
    stable: numbers(verdict.baseline),
    margins: margins.map((margin) => ({
      metric: text(margin.metric),
      unit: margin.unit === 'rate' ? 'rate' : 'latency',
      asked: number(margin.asked) ?? 0,
      proved: number(margin.proved),
    })),
  };
}

function numbers(value: unknown): SideNumbers | null {
  const fields = asFields(value);
  const requests = number(fields.requests);
  if (requests === null) return null;
  const p95 = number(fields.p95_us);
  return {
    requests,
    failures: number(fields.failures) ?? 0,
    errorRate: number(fields.error_rate),
    p95Ms: p95 === null ? null : p95 / 1000,
  };
}

export function entries(events: EventView[], stages: StageView[]): Entry[] {
  return events.map((event) => entry(event, stages));
}

function entry(event: EventView, stages: StageView[]): Entry {
  const fields = asFields(event.payload);
  const made: Entry = {
    position: event.position,
    atUs: event.at_us,
    by: event.actor,
    key: 'event.other',
    values: { kind: event.kind },
    why: text(fields.reason),
    evidence: evidenceOf(fields.evidence),
    tone: 'plain',
    detail: false,
  };
  const stage = (index: unknown) => shareWords(stages[Number(index)]?.to ?? '');
  switch (event.kind) {
    case 'requested':
      return { ...made, key: 'event.requested', values: { version: text(fields.version) } };
    case 'prepared':
      return { ...made, key: 'event.prepared', detail: true };
    case 'task_started':
      return { ...made, key: 'event.taskStarted', values: { task: text(fields.task) }, detail: true };
    case 'task_ended': {
      const end = asFields(fields.end);
      const values = { task: text(fields.task), result: text(end.result).replace(/_/g, ' ') };
      const failed = end.result !== 'done';
      const why = text(end.note) || text(end.reason);
      return { ...made, key: 'event.taskEnded', values, why, tone: failed ? 'back' : 'plain', detail: !failed };
    }
    case 'deployed':
      return { ...made, key: 'event.deployed', detail: true };
    case 'signed_off': {
      const values = { role: text(fields.role) };
      return { ...made, key: 'event.signed', values, why: text(fields.comment), tone: 'forward' };
    }
    case 'advanced':
      return { ...made, ...advanced(fields.to, stage), why: text(fields.why), tone: 'forward' };
    case 'dial_confirmed':
      return { ...made, key: 'event.dial', values: { share: points(fields.achieved) }, detail: true };
    case 'judged':
      return { ...made, ...judged(fields), why: '' };
    case 'hold_began':
      return { ...made, key: 'event.held', tone: 'wait' };
    case 'hold_ended':
      return { ...made, key: 'event.holdEnded', tone: 'forward' };
    case 'returned_by_proxy':
      return { ...made, key: 'event.proxy', tone: 'back' };
    case 'over_budget':
      return { ...made, key: 'event.budget', values: { stage: stage(fields.stage) }, tone: 'wait' };
    case 'paused':
      return { ...made, key: 'event.paused', tone: 'wait' };
    case 'resumed':
      return { ...made, key: 'event.resumed', tone: 'forward' };
    case 'skipped':
      return { ...made, key: 'event.skipped', tone: 'forward' };
    case 'promote_asked':
      return { ...made, key: 'event.promote', tone: 'forward' };
    case 'return_decided':
      return { ...made, key: 'event.return', tone: 'back' };
    case 'ended': {
      const outcome = text(fields.outcome);
      const good = outcome.startsWith('promoted');
      return { ...made, key: 'event.ended', values: { outcome }, tone: good ? 'forward' : 'back' };
    }
    default:
      return made;
  }
}

function judged(fields: Fields): Partial<Entry> {
  const evidence = evidenceOf(fields);
  const tones = { PROCEED: 'forward', HOLD: 'wait', ROLLBACK: 'back' } as const;
  return { key: 'event.judged', evidence, tone: evidence?.decision ? tones[evidence.decision] : 'plain' };
}

function advanced(to: unknown, stage: (index: unknown) => string): Pick<Entry, 'key' | 'values' | 'detail'> {
  const index = asFields(to).stage;
  if (index !== undefined) return { key: 'event.advanced', values: { to: stage(index) }, detail: false };
  return { key: 'event.phase', values: { phase: text(to).replace(/_/g, ' ') }, detail: true };
}

function points(value: unknown): string {
  const basis = number(value);
  return basis === null ? text(value) : `${basis / 100} %`;
}
