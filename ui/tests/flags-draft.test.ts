import { describe, expect, it } from 'vitest';
import { besides, changesTo, lineChanges, place, rulesOf, settingsPath, stateChanges, written } from '../src/core/flags/change';
import {
  basisPoints,
  defaultOf,
  draftOf,
  moved,
  newOverride,
  newRule,
  settingsOf,
  variantsOf,
} from '../src/core/flags/draft';
import { at, diff, elsewhere, onTop, partsOf, pointer, problemsOf, same } from '../src/core/flags/pointer';
import type { FlagDefinition, FlagSettings } from '../src/live/flags';

const settings: FlagSettings = {
  default: 'off',
  users: { ana: 'on' },
  tenants: { acme: 'off' },
  rules: [
    { name: 'first ring', segment: 'first', variant: 'on' },
    { when: 'age >= 18', share: { 'basis-points': 2550, of: 'tenant', salt: 's' }, variant: 'on' },
    {
      share: { 'basis-points': 5000 },
      distribution: {
        weights: [
          { variant: 'on', 'basis-points': 2500 },
          { variant: 'off', 'basis-points': 7500 },
        ],
        of: 'tenant',
        salt: 'other',
      },
    },
    { distribution: { weights: [{ variant: 'on', 'basis-points': 10000 }], of: 'user' }, name: 'all' },
  ],
};
const flag: FlagDefinition = { type: 'boolean', environments: { production: settings } };
const path = settingsPath('a/b', 'production');

// FLAG-13
describe('a draft', () => {
  it('says again what it was made of, with all that the form does not show', () => {
    expect(settingsOf(draftOf(flag, 'production'), path)).toEqual({ settings, faults: [] });
    expect(settingsOf(draftOf(flag, 'staging'), path)).toEqual({ settings: {}, faults: [] });
    const disabled: FlagDefinition = { type: 'boolean', environments: { production: { state: 'disabled' } } };
    expect(settingsOf(draftOf(disabled, 'production'), path).settings).toEqual({ state: 'disabled' });
  });

  it('names what cannot be said, by its field', () => {
    const draft = draftOf(flag, 'production');
    const [first, second] = draft.rules;
    if (!first || !second) throw new Error('there are rules');
    first.share = '101';
    draft.users.push({ id: -1, who: ' ', variant: 'on' }, { id: -2, who: 'ana', variant: 'off' });
    expect(settingsOf(draft, path).faults).toEqual([
      { path: `${path}/users/#1`, key: 'fault.nobody' },
      { path: `${path}/users/#2`, key: 'fault.twice' },
      { path: `${path}/rules/0/share`, key: 'fault.percent' },
    ]);
  });

  it('begins new lines with the variant that is not off', () => {
    expect(newRule(flag).variant).toBe('on');
    expect(newOverride({ type: 'string', off: 'a', variants: { a: 'x', b: 'y' } }).variant).toBe('b');
    expect(variantsOf({ type: 'string' })).toEqual([]);
    expect(variantsOf(flag)).toEqual(['on', 'off']);
  });

  it('reads percentages, and nothing else', () => {
    const all = ['5', '5%', '12.5 %', '0,05', '100', '0', '100.01', '5.123', '-1', '', 'x', '1e2'];
    const read = [500, 500, 1250, 5, 10_000, 0, null, null, null, null, null, null];
    expect(all.map(basisPoints)).toEqual(read);
  });

  it('moves rules by a place, and not past the ends', () => {
    expect(moved([1, 2, 3], 0, 1)).toEqual([2, 1, 3]);
    expect(moved([1, 2, 3], 2, -1)).toEqual([1, 3, 2]);
    expect(moved([1, 2, 3], 0, -1)).toEqual([1, 2, 3]);
    expect(moved([1, 2, 3], 2, 1)).toEqual([1, 2, 3]);
  });

  it('knows the default: of the environment, of the flag, off', () => {
    expect(defaultOf(flag, 'production')).toBe('off');
    expect(defaultOf({ type: 'boolean', default: 'on' }, 'production')).toBe('on');
    expect(defaultOf({ type: 'string', off: 'none' }, 'production')).toBe('none');
  });
});

describe('changes', () => {
  it('are the fields that differ, and no others', () => {
    const wanted = { ...settings, default: 'on', users: { ana: 'on', eve: 'off' } };
    delete (wanted as FlagSettings).tenants;
    expect(changesTo('a/b', flag, 'production', wanted)).toEqual([
      { path: '/flags/a~1b/environments/production/default', before: 'off', after: 'on' },
      { path: '/flags/a~1b/environments/production/tenants', before: { acme: 'off' }, after: null },
      { path: '/flags/a~1b/environments/production/users/eve', before: null, after: 'off' },
    ]);
    expect(changesTo('a/b', flag, 'production', settings)).toEqual([]);
  });

  it('make what stands above a field where it is missing', () => {
    const wanted: FlagSettings = { default: 'on' };
    expect(changesTo('k', { type: 'boolean' }, 'p', wanted)).toEqual([
      { path: '/flags/k/environments', before: null, after: { p: wanted } },
    ]);
    expect(changesTo('k', flag, 'p', wanted)).toEqual([
      { path: '/flags/k/environments/p', before: null, after: wanted },
    ]);
    expect(changesTo('k', { type: 'boolean' }, 'p', {})).toEqual([]);
  });

  it('of the state leave the rules alone', () => {
    expect(stateChanges('k', flag, 'production', false)).toEqual([
      { path: '/flags/k/environments/production/state', before: null, after: 'disabled' },
    ]);
    expect(stateChanges('k', flag, 'production', true)).toEqual([]);
  });

  it('read as people say them', () => {
    expect(place('/flags/a~1b/environments/production/rules', 'a/b')).toBe('production › rules');
    expect(place('/flags/x/owner', 'a/b')).toBe('flags › x › owner');
    expect(written(undefined)).toBeNull();
    expect(written({ a: [1] })).toBe('{"a":[1]}');
    expect(written('x'.repeat(400))).toHaveLength(301);
    const rules = rulesOf({ path: '/flags/a/environments/p/rules', before: null, after: [{ variant: 'on' }] });
    expect(rules).toEqual({ before: [], after: [{ variant: 'on' }] });
    expect(rulesOf({ path: '/flags/rules', before: null, after: { type: 'boolean' } })).toBeNull();
    expect(rulesOf({ path: '/flags/a/default', before: 'on', after: 'off' })).toBeNull();
    expect(lineChanges(['a', 'b'], ['b', 'c'])).toEqual({ gone: ['a'], come: ['c'] });
    expect(lineChanges(['a', 'b'], ['b', 'a'])).toBeNull();
    const own = { path: '/flags/a/owner' };
    const others = [{ path: '/flags/ab/owner' }, { path: '/segments/a' }];
    expect(besides([own, ...others, { path: '/flags/a' }], 'a')).toEqual(others);
  });
});

describe('pointers', () => {
  it('come back as they were written', () => {
    expect(pointer('a/b', 'c~d', 0)).toBe('/a~1b/c~0d/0');
    expect(partsOf('/a~1b/c~0d/0')).toEqual(['a/b', 'c~d', '0']);
  });

  it('say where values differ', () => {
    expect(diff({ a: [1, 2] }, { a: [2, 1], b: false }, '')).toEqual([
      { path: '/a', before: [1, 2], after: [2, 1] },
      { path: '/b', before: null, after: false },
    ]);
    expect(diff({ a: { b: 1 } }, { a: { b: 1 } }, '')).toEqual([]);
    expect(same([{ a: 1 }], [{ a: 1 }])).toBe(true);
    expect(same([], {})).toBe(false);
    expect(same({ a: 1 }, { a: 1, b: 2 })).toBe(false);
  });

  it('put my fields on top of what others changed', () => {
    const base = { users: { ana: 'on', tom: 'on' }, rules: [1] };
    const mine = { users: { ana: 'off' }, rules: [1], default: 'on' };
    const theirs = { users: { ana: 'on', tom: 'on', eve: 'on' }, rules: [2] };
    expect(onTop(base, mine, theirs)).toEqual({ users: { ana: 'off', eve: 'on' }, rules: [2], default: 'on' });
    expect(onTop({}, { users: { ana: 'on' } }, { users: { eve: 'on' } })).toEqual({ users: { ana: 'on', eve: 'on' } });
    expect(onTop({ rules: [1] }, { rules: [3] }, { rules: [2] })).toEqual({ rules: [3] });
    expect(onTop({ a: 1 }, {}, { a: 2 })).toEqual({});
  });

  it('bring problems to their fields', () => {
    const all = problemsOf([
      { path: '/r/1/when', code: 'bad-condition', message: 'x' },
      { path: '/r/10', code: 'order', message: 'y' },
      { other: true },
      null,
    ]);
    expect(all).toHaveLength(2);
    expect(at(all, '/r/1').map((one) => one.message)).toEqual(['x']);
    expect(elsewhere(all, ['/r/1']).map((one) => one.message)).toEqual(['y']);
  });
});
