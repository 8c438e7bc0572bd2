/** The shapes of the API about flags. */

import type { Change } from './flags';

export interface TurnsFlags {
  flags?: string | null;
}

export interface FlagHere {
  enabled: boolean;
  default: string;
  rules: number;
  users: number;
  tenants: number;
}

export interface FlagRow {
  key: string;
  type: string;
  description?: string | null;
  owner?: string | null;
  project?: string | null;
  killed: boolean;
  stale: boolean;
  expires?: string | null;
  environments: Record<string, FlagHere>;
}

export interface FlagsView {
  revision: number;
  environments: string[];
  all_killed: boolean;
  flags: FlagRow[];
}

export interface FlagNeeds {
  flag: string;
  path: string[];
}

export interface FlagView {
  revision: number;
  flag: FlagRow;
  definition: unknown;
  dependents: FlagNeeds[];
}

export interface WhoView {
  environment: string;
  revision: number;
  variants: { variant: string; tenants: string[] }[];
}

export interface ExplainedView {
  explanation: unknown;
  text: string;
}

export interface ChangedView {
  revision: number;
  changes: Change[];
  in_force: boolean;
  note?: string | null;
}

export interface WouldChangeView {
  asked: number;
  contexts: number;
  changed: unknown[];
}

export interface FlagEntryView {
  position: number;
  at_us: number;
  decided_at_us?: number | null;
  actor: string;
  kind: string;
  reason: string;
  revision?: number | null;
  changes: Change[];
  flags?: string[] | null;
}

export interface FlagsKilledView {
  flags?: string[] | null;
  epoch: number;
  in_force: boolean;
  note?: string | null;
  recorded: boolean;
  confirmed: number;
  unconfirmed: string[];
}

export interface FlagsLiftedView {
  flags?: string[] | null;
  epoch: number;
  in_force: boolean;
  note?: string | null;
}

export interface FlagStreamView {
  who: string;
  since_us: number;
  told: [number, number];
  fetched?: [number, number] | null;
}

export interface PropagationView {
  revision: number;
  kill_epoch: number;
  unrecorded: number;
  in_force?: string | null;
  current: boolean;
  trouble?: string | null;
  streams: number;
  told: number;
  fetched: number;
  behind: FlagStreamView[];
}
