import { describe, expect, it } from 'vitest';
import { gates, moodOf, position } from '../src/core/gates';
import { release, stage } from './samples';

const states = (...of: Parameters<typeof gates>) => gates(...of).map((gate) => gate.state);
const NOW = 100_000;

describe('gates', () => {
  it('are passed one after the other', () => {
    expect(states(release({ phase: 'preflight' }), NOW)).toEqual(['here', 'closed', 'closed', 'closed']);
    expect(states(release(), NOW)).toEqual(['passed', 'here', 'closed', 'closed']);
    expect(states(release({ phase: 'hand-over' }), NOW)).toEqual(['passed', 'passed', 'passed', 'here']);
    const done = release({ phase: 'promoted', outcome: 'promoted' });
    expect(states(done, NOW)).toEqual(['passed', 'passed', 'passed', 'passed']);
  });

  it('show where it turned back', () => {
    const back = release({ phase: 'returning users', returning_because: 'errors' });
    expect(states(back, NOW)).toEqual(['passed', 'turned', 'closed', 'closed']);
    const over = release({ phase: 'ended', outcome: 'rolled_back', reason: 'errors' });
    expect(states(over, NOW)).toEqual(['passed', 'turned', 'closed', 'closed']);
    expect(gates(over, NOW)[1]?.waits).toEqual([{ raw: 'errors' }]);
    const early = release({ phase: 'ended', outcome: 'refused', stages: [stage('25%')] });
    expect(states(early, NOW)).toEqual(['turned', 'closed', 'closed']);
    expect(position(early)).toBe(-1);
  });

  it('say what they wait for right now', () => {
    const at = { entered_at_us: 0, confirmed_at_us: 90_000_000 };
    const watched = release({ stages: [stage('25%', { ...at, for_ms: 20_000, budget_ms: 60_000 })] });
    const [, here] = gates(watched, NOW);
    expect(here?.waits).toEqual([{ key: 'wait.watch', values: { time: '10 s' } }]);
    expect(here?.watched).toBe(0.5);
    expect(here?.times.map((one) => one.values?.time)).toEqual(['20 s', '1 min']);
    const proof = release({ judged: 'too little', stages: [stage('25%', { ...at, for_ms: 1_000 })] });
    expect(gates(proof, NOW)[1]?.waits).toEqual([{ key: 'wait.proof' }, { raw: 'too little' }]);
    const held = release({ hold: 'no traffic', stages: [stage('25%', { ...at, for_ms: 1_000 })] });
    expect(gates(held, NOW)[1]?.waits).toEqual([{ key: 'wait.hold', raw: 'no traffic' }]);
    const nobody = { ...held, hold: null, reaches_nobody_because: 'a needs b on' };
    expect(gates(nobody, NOW)[1]?.waits).toEqual([{ key: 'wait.nobody', raw: 'a needs b on' }]);
    const set = release({ stages: [stage('25%', { entered_at_us: 1 })] });
    expect(gates(set, NOW)[1]?.waits[0]?.key).toBe('wait.set');
    const sign = release({ phase: 'preflight', missing_sign_offs: ['dba'] });
    expect(gates(sign, NOW)[0]?.waits).toEqual([{ key: 'wait.sign', values: { roles: 'dba' } }]);
  });

  it('say whom they let through, as far as anybody is known', () => {
    const told = (reached: { tenants: number; of: number; people: number; names: string[] }) =>
      gates(release({ stages: [stage('5%', { reached })] }), NOW)[1]?.times.map((one) => one.key);
    expect(told({ tenants: 50, of: 1000, people: 2, names: [] })).toEqual(['gate.tenants', 'gate.people', 'gate.watch']);
    expect(told({ tenants: 0, of: 0, people: 2, names: [] })).toEqual(['gate.people', 'gate.watch']);
    expect(told({ tenants: 0, of: 9, people: 0, names: [] })).toEqual(['gate.tenants', 'gate.watch']);
  });

  it('stand in deeper water with every stage', () => {
    const stages = ['warm-up', 'segment team', '5%', '50%', '100%'].map((to) => stage(to));
    const levels = gates(release({ stages }), NOW).map((gate) => gate.level);
    expect([...levels].sort((a, b) => a - b)).toEqual(levels);
    expect(Math.max(...levels)).toBe(1);
  });
});

describe('the mood', () => {
  it('is one word for each way a release can be', () => {
    expect(moodOf(release())).toBe('running');
    expect(moodOf(release({ hold: 'x' }))).toBe('held');
    expect(moodOf(release({ hold: 'x', paused_by: 'ana' }))).toBe('paused');
    expect(moodOf(release({ hold: 'x', returning_because: 'y' }))).toBe('returning');
    expect(moodOf(release({ phase: 'queued', place_in_line: 2 }))).toBe('queued');
    expect(moodOf(release({ outcome: 'promoted_early' }))).toBe('promoted');
    expect(moodOf(release({ outcome: 'aborted' }))).toBe('back');
    expect(moodOf(release({ outcome: 'refused' }))).toBe('refused');
    expect(moodOf(release({ outcome: 'rollback_failed' }))).toBe('failed');
  });
});
