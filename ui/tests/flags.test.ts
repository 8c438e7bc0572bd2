import { describe, expect, it } from 'vitest';
import { grouped, isCut, named, readContexts } from '../src/core/flags/affected';
import { EMPTY, contextOf } from '../src/core/flags/context';
import { type Filter, environmentOf, filtered, projects, turnOf, turnsOf } from '../src/core/flags/list';
import { plain } from '../src/core/flags/plain';
import { killHeard, silentOnKill, tone, unnamed } from '../src/core/flags/propagation';
import { asksAboutUsers, bpWords, serves, whom } from '../src/core/flags/words';
import type { Explanation, Stage, Step } from '../src/live/flags';
import type { FlagRow, PropagationView, SinkView } from '../src/live/types';
import { release, service } from './samples';

function row(key: string, more: Partial<FlagRow> = {}): FlagRow {
  return { key, type: 'boolean', killed: false, stale: false, environments: {}, ...more };
}

// FLAG-13
describe('the list', () => {
  const disabled = { enabled: false, default: 'off', rules: 0, users: 0, tenants: 0 };
  const rows = [
    row('exec-reports', { owner: 'reports', project: 'reports', killed: true }),
    row('search', { description: 'The new search', stale: true }),
    row('old', { project: 'shop', environments: { production: disabled } }),
  ];
  const moving = release({ flags: 'search on, other b in production' });
  const turns = turnsOf([service({ release: moving }), service({ release: release() })]);
  const keys = (filter: Partial<Filter>) =>
    filtered(rows, { find: '', project: '', shown: 'all', ...filter }, 'production', turns).map((one) => one.key);

  it('finds by every word of a flag, and by how it stands', () => {
    expect(keys({})).toEqual(['exec-reports', 'search', 'old']);
    expect(keys({ find: ' REPORTS ' })).toEqual(['exec-reports']);
    expect(keys({ find: 'new search' })).toEqual(['search']);
    expect(keys({ project: 'shop' })).toEqual(['old']);
    expect(keys({ shown: 'killed' })).toEqual(['exec-reports']);
    expect(keys({ shown: 'stale' })).toEqual(['search']);
    expect(keys({ shown: 'disabled' })).toEqual(['old']);
    expect(keys({ shown: 'release' })).toEqual(['search']);
    expect(projects(rows)).toEqual(['reports', 'shop']);
  });

  it('knows which release turns a flag, as long as it runs', () => {
    expect(turns.map((one) => [one.flag, one.variant, one.environment])).toEqual([
      ['search', 'on', 'production'],
      ['other', 'b', 'production'],
    ]);
    expect(turnOf(turns, 'search', 'production')?.release.release).toBe('r1');
    expect(turnOf(turns, 'search', 'staging')).toBeUndefined();
    const over = release({ flags: 'search on in production', outcome: 'aborted', phase: 'ended' });
    expect(turnsOf([service({ release: over }), service({ release: null })])).toEqual([]);
  });

  it('begins with the environment that was asked for, else with production', () => {
    expect(environmentOf('x', ['a'])).toBe('x');
    expect(environmentOf('', ['a', 'production'])).toBe('production');
    expect(environmentOf('', ['a', 'b'])).toBe('a');
    expect(environmentOf('', [])).toBe('');
  });
});

describe('rules', () => {
  it('are said in words', () => {
    const rule = { segment: 'team', when: 'age > 1', share: { 'basis-points': 250, of: 'tenant' }, variant: 'on' };
    expect(whom(rule, 'es').map((one) => one.key)).toEqual(['rule.inSegment', 'rule.fits', 'rule.share']);
    expect(whom(rule, 'es')[2]?.values).toEqual({ share: '2,5 %', unit: 'tenant' });
    expect(whom({ variant: 'on' }, 'en')).toEqual([{ key: 'rule.everybody' }]);
    expect(serves(rule, 'en').values).toEqual({ variant: 'on' });
    const weights = [{ variant: 'a', 'basis-points': 10_000 }];
    expect(serves({ distribution: { weights } }, 'en').values).toEqual({ parts: 'a 100 %', unit: 'targetingKey' });
    expect(bpWords(1, 'en')).toBe('0.01 %');
  });

  it('are told apart by whether the tenant alone decides them', () => {
    const share = (of?: string, points = 100) => ({ share: { 'basis-points': points, ...(of ? { of } : {}) } });
    const asks = (...rules: object[]) => asksAboutUsers({ rules }, new Set(['size']));
    expect(asks(share('tenant'), share('size'))).toBe(false);
    expect(asks(share())).toBe(true);
    expect(asks(share(undefined, 10_000))).toBe(false);
    expect(asks({ distribution: { weights: [], of: 'user' } })).toBe(true);
    expect(asksAboutUsers({ users: { ana: 'on' } }, new Set())).toBe(true);
  });
});

describe('a context', () => {
  const declared = {
    age: { type: 'integer' },
    beta: { type: 'boolean' },
    risk: { type: 'float', key: 'risk.score' },
  } as const;

  it('has what was written, by its type, and nothing that was not', () => {
    const attributes = [
      { name: 'age', value: ' 18 ' },
      { name: 'beta', value: 'true' },
      { name: 'risk', value: '0,5' },
      { name: 'other', value: '7' },
      { name: 'empty', value: ' ' },
    ];
    expect(contextOf({ ...EMPTY, user: 'ana', tenant: ' acme ', attributes }, declared)).toEqual({
      targetingKey: 'ana',
      user: 'ana',
      tenant: 'acme',
      age: 18,
      beta: true,
      risk: { score: 0.5 },
      other: '7',
    });
    expect(contextOf(EMPTY, declared)).toEqual({});
    const odd = { ...EMPTY, targetingKey: 'device', user: 'ana', attributes: [{ name: 'age', value: 'old' }] };
    expect(contextOf(odd, declared)).toEqual({ targetingKey: 'device', user: 'ana', age: 'old' });
  });

  it('is read from lines', () => {
    expect(readContexts('ana\n\n {"tenant":"acme"}\n{oops')).toEqual({
      contexts: [{ targetingKey: 'ana' }, { tenant: 'acme' }],
      wrong: [4],
    });
  });
});

describe('who would change', () => {
  it('is put together by what becomes of them, the flag in question first', () => {
    const outcome = (variant: string) => ({ variant, value: variant === 'on', reason: 'SPLIT' });
    const one = (flag: string, tenant: string) => ({
      context: 0,
      flag,
      before: outcome('off'),
      after: outcome('on'),
      who: { tenant },
    });
    const all = [one('other', 'a'), one('other', 'b'), { ...one('mine', 'c'), after: null }];
    expect(grouped(all, 'mine').map((group) => [group.flag, group.after, group.who.map(named)])).toEqual([
      ['mine', null, ['c']],
      ['other', 'on', ['a', 'b']],
    ]);
    expect([isCut(all), isCut(Array(1_000))]).toEqual([false, true]);
    expect(named({ tenant: 'a', age: 3 })).toBe('tenant a, age 3');
  });
});

// NOT-14: the server's own steps, in the words of people who answer users.
describe('plain words', () => {
  const step = (stage: Stage, asked: string, found: string, more: Partial<Step> = {}): Step => ({
    stage,
    asked,
    found,
    decides: false,
    ...more,
  });
  const explained = (steps: Step[], more: Partial<Explanation> = {}): Explanation => ({
    flag: 'f',
    environment: 'production',
    revision: 1,
    variant: 'off',
    value: false,
    reason: 'DEFAULT',
    detail: '',
    steps,
    ...more,
  });
  const keys = (steps: Step[]) => plain(explained(steps)).why.map((one) => one.key);

  it('say what decided', () => {
    const killed = step('kill', 'is it killed?', 'yes, epoch 1');
    expect(keys([killed])).toEqual(['why.killed']);
    expect(keys([step('state', 'is it enabled in production?', 'no')])).toEqual(['why.disabled']);
    const needs = step('prerequisite', 'does "api" serve "on"?', 'it serves "off"', { because: [killed] });
    expect(plain(explained([needs])).why).toEqual([{ key: 'why.needs', values: { flag: 'api' } }, { key: 'why.killed' }]);
    expect(keys([step('override', 'is there an override for this tenant?', 'yes, tenant "a" gets "on"')])).toEqual([
      'why.tenant',
    ]);
    expect(keys([step('override', 'is there an override for this user?', 'yes, user "a" gets "on"')])).toEqual([
      'why.user',
    ]);
    expect(keys([step('tester', 'is there a tester token?', 'yes, for "on"')])).toEqual(['why.tester']);
    expect(keys([step('default', 'no rule applies, the default is', '"off"')])).toEqual(['why.default']);
    expect(keys([])).toEqual(['why.other']);
  });

  it('name the rule, and whether by its share', () => {
    const drawn = step('share', 'rule 2 "ring", a share of 25%', 'tenant "a": in');
    const serving = step('rule', 'rule 2 "ring" serves', '"on"');
    expect(plain(explained([drawn, serving])).why).toEqual([{ key: 'why.inShare', values: { rule: 'ring' } }]);
    expect(plain(explained([step('rule', 'rule 10 serves', '"on"')])).why).toEqual([
      { key: 'why.rule', values: { rule: '10' } },
    ]);
    const other = step('share', 'rule 1, a share of 25%', 'not in');
    expect(keys([other, step('rule', 'rule 10 serves', '"on"')])).toEqual(['why.rule']);
    expect(keys([other, step('default', 'no rule applies, the default is', '"off"')])).toEqual(['why.notInShare']);
    expect(plain(explained([step('rule', 'rule 1 "release r-1" serves', '"on"')])).why).toEqual([
      { key: 'why.release', values: { release: 'r-1' } },
    ]);
  });

  it('say what is not decided by the tenant alone', () => {
    const open = step('override', 'is there an override for this user?', 'no, user is missing');
    const end = step('default', 'no rule applies, the default is', '"off"');
    expect(plain(explained([open, end]))).toMatchObject({ state: 'off', mayDiffer: true });
    expect(plain(explained([end]))).toMatchObject({ state: 'off', mayDiffer: false });
    const unknown = step('rule', 'rule 1, segment "team"', 'not known, user is missing');
    expect(plain(explained([unknown, end])).mayDiffer).toBe(true);
    const needs = explained([end], { error: 'TARGETING_KEY_MISSING', reason: 'ERROR' });
    expect(plain(needs)).toMatchObject({ state: 'varies', why: [{ key: 'why.varies', values: { variant: 'off' } }] });
    expect(plain(explained([], { variant: null, value: null })).state).toBe('unknown');
    expect(plain(explained([end], { value: true, variant: 'on' })).state).toBe('on');
    expect(plain(explained([end], { value: 'x', variant: 'b' }))).toMatchObject({ state: 'other', variant: 'b' });
  });
});

describe('how far flags have come', () => {
  const status = (more: Partial<PropagationView> = {}): PropagationView => ({
    revision: 3,
    kill_epoch: 2,
    unrecorded: 0,
    current: true,
    streams: 2,
    told: 2,
    fetched: 2,
    behind: [],
    ...more,
  });

  it('is good when everybody has it, and never by silence', () => {
    expect(tone(status())).toBe('good');
    expect(tone(status({ fetched: 1 }))).toBe('waits');
    expect(tone(status({ current: false }))).toBe('waits');
    expect(tone(status({ unrecorded: 1 }))).toBe('waits');
    expect(tone(status({ trouble: 'no answer' }))).toBe('bad');
    const sink = (state: string) => ({ name: 'crm', table: 't', state }) as SinkView;
    expect(tone(status({ sinks: [sink('reached')] }))).toBe('good');
    for (const state of ['behind', 'unknown', 'another word']) {
      expect(tone(status({ sinks: [sink('reached'), sink(state)] }))).toBe('tables');
    }
    expect(tone(status({ sinks_trouble: 'not read' }))).toBe('tables');
    const keyless = { guard: 'reports', kind: 'unreadable-key' as const, trouble: 'not set' };
    expect(tone(status({ guards: [keyless] }))).toBe('guards');
    expect(tone(status({ current: false, sinks: [sink('behind')] }))).toBe('waits');
  });

  it('names who has not acknowledged a kill', () => {
    const stream = (who: string, fetched: [number, number] | null) => ({ who, since_us: 0, told: [3, 2] as [number, number], fetched });
    const behind = [stream('old', [3, 1]), stream('never', null), stream('killed', [2, 2])];
    const some = status({ streams: 5, fetched: 1, behind });
    expect(silentOnKill(some).map((one) => one.who)).toEqual(['old', 'never']);
    expect(unnamed(some)).toBe(1);
    expect(killHeard(some)).toBe('silent');
    expect(killHeard(status())).toBe('heard');
    expect(killHeard(status({ current: false, streams: 0, fetched: 0 }))).toBe('silent');
    expect(killHeard(status({ trouble: 'no answer', streams: 0, fetched: 0 }))).toBe('unknown');
  });
});
