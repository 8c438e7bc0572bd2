/** What a caller may do, as the server has it; the server decides all the same. */

import type { Me } from '../live/types';

export const LEVELS = ['viewer', 'approver', 'operator', 'admin'] as const;
export type Level = (typeof LEVELS)[number];

export function levelOf(me: Me): Level | null {
  return LEVELS.filter((level) => me.roles.includes(level)).pop() ?? null;
}

export function may(me: Me, needed: Level): boolean {
  const level = levelOf(me);
  return level !== null && LEVELS.indexOf(level) >= LEVELS.indexOf(needed);
}

export function maySignOff(me: Me, role: string): boolean {
  return me.roles.includes('*') || me.roles.includes(role);
}
