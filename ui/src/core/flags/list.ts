/** The list of flags: what is looked for, and which releases turn them. */

import type { FlagRow, ReleaseView, ServiceView } from '../../live/types';
import { isRunning } from '../traffic';

export const SHOWN = ['all', 'killed', 'stale', 'release', 'disabled'] as const;
export type Shown = (typeof SHOWN)[number];

export interface Filter {
  find: string;
  project: string;
  shown: Shown;
}

export interface Turn {
  flag: string;
  variant: string;
  environment: string;
  release: ReleaseView;
}

export function filtered(
  rows: readonly FlagRow[],
  filter: Filter,
  environment: string,
  turns: readonly Turn[],
): FlagRow[] {
  const words = filter.find.trim().toLowerCase();
  return rows.filter((row) => {
    const text = [row.key, row.owner, row.description, row.project].join('\n').toLowerCase();
    if (!text.includes(words)) return false;
    if (filter.project !== '' && row.project !== filter.project) return false;
    switch (filter.shown) {
      case 'killed':
        return row.killed;
      case 'stale':
        return row.stale;
      case 'disabled':
        return row.environments[environment]?.enabled === false;
      case 'release':
        return turnOf(turns, row.key, environment) !== undefined;
      default:
        return true;
    }
  });
}

export function projects(rows: readonly FlagRow[]): string[] {
  return [...new Set(rows.map((row) => row.project).filter((name) => name != null && name !== ''))]
    .map(String)
    .sort();
}

/** The flags that running releases turn. A release names them as `a on, b off in production`. */
export function turnsOf(services: Iterable<ServiceView>): Turn[] {
  const turns: Turn[] = [];
  for (const { release } of services) {
    if (!release?.flags || !isRunning(release)) continue;
    const found = /^(.*) in (\S*)$/.exec(release.flags);
    for (const part of (found?.[1] ?? '').split(', ')) {
      const space = part.lastIndexOf(' ');
      if (space <= 0) continue;
      turns.push({
        flag: part.slice(0, space),
        variant: part.slice(space + 1),
        environment: found?.[2] ?? '',
        release,
      });
    }
  }
  return turns;
}

export function turnOf(turns: readonly Turn[], flag: string, environment: string): Turn | undefined {
  return turns.find((one) => one.flag === flag && one.environment === environment);
}

/** The environment that is looked at: the one of the address, else the only or first one. */
export function environmentOf(asked: string, known: readonly string[]): string {
  if (asked !== '') return asked;
  return known.find((name) => name === 'production') ?? known[0] ?? '';
}
