/** A flag's settings as a form has them: everything is text until it is asked of the server. */

import type { Key } from '../../i18n/text';
import type { FlagDefinition, FlagSettings, Rule } from '../../live/flags';
import { pointer } from './pointer';

export interface Draft {
  enabled: boolean;
  /** The variant where no rule decides; empty for the flag's own. */
  default: string;
  rules: RuleDraft[];
  users: OverrideDraft[];
  tenants: OverrideDraft[];
}

export interface RuleDraft {
  /** Tells rules apart while they are moved. */
  id: number;
  name: string;
  segment: string;
  when: string;
  /** A percentage; empty for no share. */
  share: string;
  /** The attribute that names the unit; empty for the targeting key. */
  of: string;
  serves: 'variant' | 'distribution';
  variant: string;
  weights: { variant: string; percent: string }[];
  /** What the form does not show, and keeps. */
  kept: Pick<Rule, 'share' | 'distribution'>;
}

export interface OverrideDraft {
  id: number;
  who: string;
  variant: string;
}

/** Something that is wrong before the server is asked. */
export interface Fault {
  path: string;
  key: Key;
}

let next = 0;
const id = () => (next += 1);

export function variantsOf(flag: FlagDefinition): string[] {
  const names = Object.keys(flag.variants ?? {});
  return names.length === 0 && flag.type === 'boolean' ? ['on', 'off'] : names;
}

/** The variant where no rule decides. */
export function defaultOf(flag: FlagDefinition, environment: string): string {
  return flag.environments?.[environment]?.default ?? flag.default ?? offOf(flag);
}

export const offOf = (flag: FlagDefinition) => flag.off ?? 'off';

export function draftOf(flag: FlagDefinition, environment: string): Draft {
  const here = flag.environments?.[environment] ?? {};
  return {
    enabled: here.state !== 'disabled',
    default: here.default ?? '',
    rules: (here.rules ?? []).map((rule) => ruleDraft(rule, variantsOf(flag))),
    users: overrides(here.users),
    tenants: overrides(here.tenants),
  };
}

function overrides(map: Record<string, string> | undefined): OverrideDraft[] {
  return Object.entries(map ?? {}).map(([who, variant]) => ({ id: id(), who, variant }));
}

function ruleDraft(rule: Rule, variants: readonly string[]): RuleDraft {
  const weights = rule.distribution?.weights ?? [];
  const others = variants.filter((name) => !weights.some((one) => one.variant === name));
  return {
    id: id(),
    name: rule.name ?? '',
    segment: rule.segment ?? '',
    when: rule.when ?? '',
    share: rule.share ? String(rule.share['basis-points'] / 100) : '',
    of: (rule.share ?? rule.distribution)?.of ?? '',
    serves: rule.distribution ? 'distribution' : 'variant',
    variant: rule.variant ?? '',
    weights: [
      ...weights.map((one) => ({ variant: one.variant, percent: String(one['basis-points'] / 100) })),
      ...others.map((variant) => ({ variant, percent: '' })),
    ],
    kept: {
      ...(rule.share ? { share: rule.share } : {}),
      ...(rule.distribution ? { distribution: rule.distribution } : {}),
    },
  };
}

export function newRule(flag: FlagDefinition): RuleDraft {
  const variants = variantsOf(flag);
  const other = variants.find((name) => name !== offOf(flag));
  return ruleDraft({ variant: other ?? variants[0] ?? '' }, variants);
}

export function newOverride(flag: FlagDefinition): OverrideDraft {
  const variants = variantsOf(flag);
  return { id: id(), who: '', variant: variants.find((name) => name !== offOf(flag)) ?? variants[0] ?? '' };
}

/** The list with one of its members a place further up or down. */
export function moved<T>(list: readonly T[], from: number, by: -1 | 1): T[] {
  const all = [...list];
  const [one] = all.splice(from, 1);
  if (one === undefined || from + by < 0 || from + by >= list.length) return [...list];
  all.splice(from + by, 0, one);
  return all;
}

/** Hundredths of a percent; null when it is no percentage. */
export function basisPoints(text: string): number | null {
  const found = /^(\d{1,3})(?:[.,](\d{1,2}))?\s*%?$/.exec(text.trim());
  if (!found) return null;
  const points = Number(found[1]) * 100 + Number((found[2] ?? '').padEnd(2, '0'));
  return points <= 10_000 ? points : null;
}

/** What the form says as settings, and what in it cannot be said.
 *  @param path where the settings stand in the set */
export function settingsOf(draft: Draft, path: string): { settings: FlagSettings; faults: Fault[] } {
  const faults: Fault[] = [];
  const settings: FlagSettings = {};
  if (!draft.enabled) settings.state = 'disabled';
  if (draft.default !== '') settings.default = draft.default;
  for (const kind of ['users', 'tenants'] as const) {
    const map = overrideMap(draft[kind], path + pointer(kind), faults);
    if (Object.keys(map).length > 0) settings[kind] = map;
  }
  const rules = draft.rules.map((rule, index) => ruleOf(rule, path + pointer('rules', index), faults));
  if (rules.length > 0) settings.rules = rules;
  return { settings, faults };
}

function overrideMap(list: readonly OverrideDraft[], path: string, faults: Fault[]): Record<string, string> {
  const map = new Map<string, string>();
  list.forEach((one, index) => {
    const who = one.who.trim();
    const place = path + pointer(`#${index}`);
    if (who === '') faults.push({ path: place, key: 'fault.nobody' });
    else if (map.has(who)) faults.push({ path: place, key: 'fault.twice' });
    else map.set(who, one.variant);
  });
  return Object.fromEntries(map);
}

function ruleOf(draft: RuleDraft, path: string, faults: Fault[]): Rule {
  const points = (text: string, place: string) => {
    const found = basisPoints(text);
    if (found === null) faults.push({ path: path + place, key: 'fault.percent' });
    return found ?? 0;
  };
  const rule: Rule = {};
  if (draft.name.trim() !== '') rule.name = draft.name.trim();
  if (draft.when.trim() !== '') rule.when = draft.when.trim();
  if (draft.segment.trim() !== '') rule.segment = draft.segment.trim();
  const of = draft.of.trim() === '' ? {} : { of: draft.of.trim() };
  if (draft.share.trim() !== '') {
    const salt = draft.kept.share?.salt;
    rule.share = { 'basis-points': points(draft.share, pointer('share')), ...of, ...salted(salt) };
  }
  if (draft.serves === 'variant') {
    rule.variant = draft.variant;
  } else {
    const weights = draft.weights
      .filter((one) => one.percent.trim() !== '')
      .map((one, index) => ({
        variant: one.variant,
        'basis-points': points(one.percent, pointer('distribution', 'weights', index)),
      }));
    // The form shows the unit of the share: a distribution that stood beside it keeps its own.
    const { share, distribution } = draft.kept;
    const beside = rule.share && share && distribution;
    const own = beside ? (distribution.of ? { of: distribution.of } : {}) : of;
    rule.distribution = { weights, ...own, ...salted(distribution?.salt) };
  }
  return rule;
}

const salted = (salt: string | undefined) => (salt === undefined ? {} : { salt });
