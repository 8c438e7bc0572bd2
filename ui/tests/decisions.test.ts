import { describe, expect, it } from 'vitest';
import { entries, evidenceOf } from '../src/core/decisions';
import type { EventView } from '../src/live/types';
import { stage } from './samples';

const event = (kind: string, payload: unknown): EventView => ({
  position: 1,
  at_us: 5,
  actor: 'ana',
  kind,
  payload: payload as EventView['payload'],
  prev: '',
  hash: '',
});
const one = (kind: string, payload: unknown) => entries([event(kind, payload)], [stage('5%'), stage('100%')])[0];

const EVIDENCE = {
  code: 'harm:errors',
  summary: 'the canary fails more often',
  verdict: {
    decision: 'ROLLBACK',
    canary: { requests: 40, failures: 8, error_rate: 0.2, p95_us: 12_500 },
    baseline: { requests: 900, failures: 1, error_rate: 0.001, p95_us: null },
    margins: [{ metric: 'errors', unit: 'rate', asked: 0.01, proved: null }],
  },
};

describe('evidence', () => {
  it('keeps words and numbers of both versions', () => {
    expect(evidenceOf(EVIDENCE)).toEqual({
      summary: 'the canary fails more often',
      decision: 'ROLLBACK',
      canary: { requests: 40, failures: 8, errorRate: 0.2, p95Ms: 12.5 },
      stable: { requests: 900, failures: 1, errorRate: 0.001, p95Ms: null },
      margins: [{ metric: 'errors', unit: 'rate', asked: 0.01, proved: null }],
    });
    expect(evidenceOf(null)).toBeNull();
  });

  it('shows what it does not know as nothing, not as zero', () => {
    expect(evidenceOf({ summary: 'x', verdict: 'newer' })).toEqual({
      summary: 'x',
      decision: null,
      canary: null,
      stable: null,
      margins: [],
    });
  });
});

describe('entries', () => {
  it('name what was decided', () => {
    expect(one('advanced', { to: { stage: 0 }, why: 'ready' })).toMatchObject({
      key: 'event.advanced',
      values: { to: '5 %' },
      why: 'ready',
      detail: false,
    });
    expect(one('advanced', { to: 'hand_over', why: '' })).toMatchObject({
      key: 'event.phase',
      values: { phase: 'hand over' },
      detail: true,
    });
    expect(one('paused', { reason: 'lunch' })).toMatchObject({ key: 'event.paused', why: 'lunch', by: 'ana' });
    expect(one('paused', null)).toMatchObject({ key: 'event.paused', why: '' });
    expect(one('judged', EVIDENCE)).toMatchObject({ key: 'event.judged', tone: 'back' });
    expect(one('return_decided', { cause: 'judge', reason: 'harm', evidence: EVIDENCE })).toMatchObject({
      key: 'event.return',
      tone: 'back',
      why: 'harm',
    });
    expect(one('ended', { outcome: 'promoted', reason: 'x' })).toMatchObject({ tone: 'forward' });
  });

  it('hide work that went well, never work that failed', () => {
    const end = (result: string) => one('task_ended', { task: 'check/0', attempt: 1, end: { result, reason: 'no' } });
    expect(end('done')).toMatchObject({ detail: true });
    expect(end('failed')).toMatchObject({ detail: false, tone: 'back', why: 'no' });
    expect(end('timed_out')).toMatchObject({ detail: false, values: { task: 'check/0', result: 'timed out' } });
  });

  it('name what a newer server records', () => {
    expect(one('mirrored', {})).toMatchObject({ key: 'event.other', values: { kind: 'mirrored' }, detail: false });
  });
});
