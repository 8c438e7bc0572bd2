/** What the API carries as plain JSON about flags: definitions, changes, explanations. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface FlagDefinition {
  type: string;
  variants?: Record<string, Json>;
  off?: string;
  safe?: string;
  default?: string;
  aliases?: string[];
  description?: string;
  owner?: string;
  project?: string;
  lifetime?: { kind: string; expires?: string };
  message?: string;
  browsers?: boolean;
  salt?: string;
  prerequisites?: { flag: string; variant: string }[];
  environments?: Record<string, FlagSettings>;
}

/** A flag in one environment. */
export interface FlagSettings {
  state?: 'enabled' | 'disabled';
  default?: string;
  users?: Record<string, string>;
  tenants?: Record<string, string>;
  rules?: Rule[];
}

export interface Rule {
  name?: string;
  when?: string;
  segment?: string;
  share?: Share;
  variant?: string;
  distribution?: Distribution;
}

export interface Share {
  'basis-points': number;
  of?: string;
  salt?: string;
}

export interface Distribution {
  weights: { variant: string; 'basis-points': number }[];
  of?: string;
  salt?: string;
}

/** What rules may ask about. */
export interface Attribute {
  type: 'string' | 'integer' | 'float' | 'boolean';
  source?: 'context' | 'tenant';
  key?: string;
}

/** The part of a whole set that helps to fill in forms. */
export interface FlagSet {
  revision: number;
  attributes?: Record<string, Attribute>;
  environments?: string[];
  segments?: Record<string, Json>;
  tenants?: Record<string, Json>;
  flags?: Record<string, FlagDefinition>;
}

/** One field of the set, by JSON pointer; absent values are null. */
export interface Change {
  path: string;
  before?: Json;
  after?: Json;
}

/** What is wrong with a field. */
export interface Problem {
  path: string;
  code: string;
  message: string;
  hint?: string;
}

export type Stage = 'kill' | 'state' | 'prerequisite' | 'tester' | 'override' | 'rule' | 'share' | 'default';

export interface Step {
  stage: Stage;
  asked: string;
  found: string;
  decides: boolean;
  because?: Step[];
}

export interface Explanation {
  flag: string;
  environment: string;
  revision: number;
  variant: string | null;
  value: Json;
  reason: string;
  detail: string;
  error?: string;
  steps: Step[];
}

export interface Outcome {
  variant: string;
  value: Json;
  reason: string;
}

/** An answer that a change would change. */
export interface WouldChange {
  context: number;
  flag: string;
  before: Outcome | null;
  after: Outcome | null;
  who: Record<string, Json> | null;
}
