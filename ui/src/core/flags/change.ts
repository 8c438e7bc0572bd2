/** What is sent to change a flag, and how a recorded change reads. */

import type { Change, FlagDefinition, FlagSettings, Json, Rule } from '../../live/flags';
import { diff, partsOf, pointer } from './pointer';

const MOST_CHARACTERS = 300;

/** Where a flag's settings for an environment stand in the set. */
export function settingsPath(flag: string, environment: string): string {
  return pointer('flags', flag, 'environments', environment);
}

/** The fields that make a flag's settings into `wanted`, each with what was read. */
export function changesTo(
  key: string,
  flag: FlagDefinition,
  environment: string,
  wanted: FlagSettings,
): Change[] {
  const now = flag.environments?.[environment];
  const path = pointer('flags', key, 'environments');
  const whole = wanted as unknown as Json;
  // Settings that say nothing are as good as none: there is nothing to write down.
  if (now === undefined && Object.keys(wanted).length === 0) return [];
  // A field can only be set in an object that is there.
  if (flag.environments === undefined) {
    return [{ path, before: null, after: { [environment]: whole } }];
  }
  return diff(now as unknown as Json | undefined, whole, path + pointer(environment));
}

/** The fields that turn a flag off or on again in an environment, its rules untouched. */
export function stateChanges(key: string, flag: FlagDefinition, environment: string, enabled: boolean): Change[] {
  const { state: _, ...rest } = flag.environments?.[environment] ?? {};
  return changesTo(key, flag, environment, enabled ? rest : { ...rest, state: 'disabled' });
}

/** A value as one line; absent ones as null. */
export function written(value: Json | undefined): string | null {
  if (value === undefined || value === null) return null;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
}

/** A field's place as people read it: what stands behind the flag's own. */
export function place(path: string, key: string | null): string {
  const parts = partsOf(path);
  const own = key !== null && parts[0] === 'flags' && parts[1] === key;
  const shown = own ? parts.slice(2).filter((part) => part !== 'environments') : parts;
  return shown.join(' › ');
}

/** Lists of rules, where that is what a field holds. */
export function rulesOf(change: Change): { before: Rule[]; after: Rule[] } | null {
  if (partsOf(change.path).at(-1) !== 'rules') return null;
  const { before, after } = change;
  const isList = (value: Json | undefined) => value == null || Array.isArray(value);
  if (!isList(before) || !isList(after)) return null;
  return { before: (before ?? []) as unknown as Rule[], after: (after ?? []) as unknown as Rule[] };
}

/** Lines that went and lines that came; null where the lines do not tell. */
export function lineChanges(before: readonly string[], after: readonly string[]): { gone: string[]; come: string[] } | null {
  const gone = before.filter((line) => !after.includes(line));
  const come = after.filter((line) => !before.includes(line));
  return gone.length + come.length > 0 ? { gone, come } : null;
}

/** Changes that are no part of one flag. */
export function besides(changes: readonly Change[], key: string): Change[] {
  const own = pointer('flags', key);
  return changes.filter((one) => one.path !== own && !one.path.startsWith(`${own}/`));
}
