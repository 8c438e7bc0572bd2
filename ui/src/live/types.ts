/** The API's shapes, from its checked-in description. */

import type { components } from './schema';

type Schemas = components['schemas'];

export type ApiErrorBody = Schemas['ApiError'];
export type CanReturn = Schemas['CanReturn'];
export type EventView = Schemas['EventView'] & { payload?: unknown };
export type InboxEntry = Schemas['InboxEntryView'];
export type InboxView = Schemas['InboxView'];
export type InstanceView = Schemas['InstanceView'];
export type Me = Schemas['Me'];
export type ReleaseView = Schemas['ReleaseView'] & Required<Pick<Schemas['ReleaseView'], 'sign_offs'>>;
export type ServiceView = Omit<Schemas['ServiceView'], 'release'> & { release?: ReleaseView | null };
export type SignOffView = Schemas['SignOffView'];
export type StageView = Schemas['StageView'];
export type TaskView = Schemas['TaskView'];
export type VersionTraffic = Schemas['VersionTraffic'];

export interface SeriesSide {
  requests: number;
  errors: number;
  error_percent?: number | null;
  p50_ms?: number | null;
  p95_ms?: number | null;
  p99_ms?: number | null;
}

export interface Bucket {
  start_ms: number;
  length_ms: number;
  counted_s: number;
  share_percent: number;
  stable?: SeriesSide | null;
  canary?: SeriesSide | null;
}

export interface Mark {
  at_ms: number;
  kind: string;
  what: string;
  why: string;
  by: string;
  position: number;
}

export interface Series {
  stable_version?: { name: string } | null;
  canary_version?: { name: string } | null;
  from_ms: number;
  to_ms: number;
  bucket_ms: number;
  unknown_because?: string | null;
  buckets: Bucket[];
  marks: Mark[];
  marks_left_out: number;
}

export interface LogView {
  log: string;
  kind: 'step' | 'canary' | 'stable';
  title: string;
  attempt?: number | null;
  component?: string | null;
  version?: string | null;
  age: number;
  size: number;
}

export interface LogText {
  log: string;
  from: number;
  next: number;
  size: number;
  text: string;
}
