/** Who would change: answers that differ, put together. */

import type { Json, WouldChange } from '../../live/flags';

export interface Affected {
  flag: string;
  before: string | null;
  after: string | null;
  who: Record<string, Json>[];
}

/** Answers by flag and by what becomes of them, the flag in question first, then the most. */
export function grouped(changed: readonly WouldChange[], flag: string): Affected[] {
  const groups = new Map<string, Affected>();
  for (const one of changed) {
    const before = one.before?.variant ?? null;
    const after = one.after?.variant ?? null;
    const name = JSON.stringify([one.flag, before, after]);
    const group = groups.get(name) ?? { flag: one.flag, before, after, who: [] };
    group.who.push(one.who ?? {});
    groups.set(name, group);
  }
  return [...groups.values()].sort(
    (a, b) => Number(b.flag === flag) - Number(a.flag === flag) || b.who.length - a.who.length,
  );
}

/** Most answers that the server lists one by one. */
const LISTED = 1_000;

/** Whether there are more answers than are listed. */
export function isCut(changed: readonly unknown[]): boolean {
  return changed.length >= LISTED;
}

/** A context in one line. */
export function named(context: Record<string, Json>): string {
  const names = Object.keys(context);
  const only = names[0];
  const text = (value: Json | undefined) => (typeof value === 'string' ? value : JSON.stringify(value));
  if (names.length === 1 && only !== undefined) return text(context[only]);
  return names.map((name) => `${name} ${text(context[name])}`).join(', ');
}

export interface Reading {
  contexts: Record<string, Json>[];
  /** Lines that are no context, from 1. */
  wrong: number[];
}

/** Contexts that were written down, one a line: a user's name, or a JSON object. */
export function readContexts(text: string): Reading {
  const reading: Reading = { contexts: [], wrong: [] };
  text.split('\n').forEach((line, index) => {
    const one = line.trim();
    if (one === '') return;
    if (!one.startsWith('{')) {
      reading.contexts.push({ targetingKey: one });
      return;
    }
    try {
      const value: unknown = JSON.parse(one);
      reading.contexts.push(value as Record<string, Json>);
    } catch {
      reading.wrong.push(index + 1);
    }
  });
  return reading;
}
