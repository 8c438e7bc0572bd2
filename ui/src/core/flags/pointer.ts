/** Fields of a set by JSON pointer: how two values differ, and where a problem belongs. */

import type { Change, Json, Problem } from '../../live/flags';

export function pointer(...parts: (string | number)[]): string {
  return parts.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** The parts of a pointer as they are read. */
export function partsOf(path: string): string[] {
  return path
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

type Value = Json | undefined;

/** Every field that differs, in the order of the names. A list is one field: its order is part of
 *  its meaning. */
export function diff(before: Value, after: Value, path: string): Change[] {
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return names.flatMap((name) => diff(before[name], after[name], path + pointer(name)));
  }
  if (same(before, after)) return [];
  return [{ path, before: before ?? null, after: after ?? null }];
}

export function same(a: Value, b: Value): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((one, index) => same(one, b[index]));
  }
  if (isObject(a) && isObject(b)) {
    const names = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...names].every((name) => same(a[name], b[name]));
  }
  return (a ?? null) === (b ?? null);
}

/** What `mine` made of `base`, made of `theirs` as well: fields that only they changed stay theirs. */
export function onTop(base: Value, mine: Value, theirs: Value): Value {
  if (same(base, mine)) return theirs;
  if (!isObject(mine) || !isObject(theirs)) return mine;
  const before = isObject(base) ? base : {};
  const names = new Set([...Object.keys(before), ...Object.keys(mine), ...Object.keys(theirs)]);
  const merged: { [key: string]: Json } = {};
  for (const name of names) {
    const value = onTop(before[name], mine[name], theirs[name]);
    if (value !== undefined) merged[name] = value;
  }
  return merged;
}

function isObject(value: Value): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Findings of an error's details that name a field. */
export function problemsOf(details: readonly unknown[]): Problem[] {
  return details.filter((one): one is Problem => {
    const problem = one as Partial<Problem> | null;
    return typeof problem?.path === 'string' && typeof problem.message === 'string';
  });
}

/** The problems of one field, or of anything inside it. */
export function at(problems: readonly Problem[], path: string): Problem[] {
  return problems.filter((one) => one.path === path || one.path.startsWith(`${path}/`));
}

/** The problems that belong to none of the fields that are shown. */
export function elsewhere(problems: readonly Problem[], shown: readonly string[]): Problem[] {
  return problems.filter((one) => !shown.some((path) => one.path === path || one.path.startsWith(`${path}/`)));
}
