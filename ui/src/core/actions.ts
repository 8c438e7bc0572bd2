/** What can be asked of a release now, and why not. */

import type { Key } from '../i18n/text';
import type { Me, ReleaseView, ServiceView, SignOffView } from '../live/types';
import { type Level, may, maySignOff } from './access';

export type Verb = 'sign-off' | 'promote' | 'pause' | 'resume' | 'skip' | 'abort' | 'rollback';

export interface Action {
  verb: Verb;
  /** The role of a sign-off. */
  role?: string;
  label: Key;
  /** What will happen, in words. */
  effect: Key;
  /** Why it cannot be asked, in words; absent when it can. */
  no?: { key: Key; values?: Record<string, string> };
  danger: boolean;
}

const NEEDS: Record<Exclude<Verb, 'sign-off'>, Level> = {
  promote: 'operator',
  pause: 'operator',
  resume: 'approver',
  skip: 'operator',
  abort: 'approver',
  rollback: 'operator',
};

export function isUnderWay(release: ReleaseView): boolean {
  return !release.outcome && !release.returning_because && release.phase !== 'promoted';
}

/** Actions in the order in which they are shown; none of a release that is over. */
export function actionsOf(release: ReleaseView, service: ServiceView | null, me: Me): Action[] {
  if (release.outcome && release.phase === 'ended') return [];
  if (release.returning_because) return [];
  const isNow = service?.release?.release === release.release;
  if (!isUnderWay(release)) return isNow ? [rollback(service, me)] : [];
  const inStage = release.phase.startsWith('stage');
  const stageOnly: Action['no'] = inStage ? undefined : { key: 'no.stage' };
  const actions: Action[] = release.sign_offs
    .filter((one) => one.by == null)
    .map((one) => signOff(one, release, me));
  if (release.paused_by != null || release.can_resume) {
    actions.push(plain('resume', 'act.resume', 'will.resume', me));
  } else {
    actions.push(plain('pause', 'act.pause', 'will.pause', me));
  }
  if (release.place_in_line == null) {
    actions.push(plain('skip', 'act.skip', 'will.skip', me, stageOnly));
    actions.push(plain('promote', 'act.promote', 'will.promote', me, stageOnly));
  }
  actions.push(abort(me));
  return actions;
}

export function abort(me: Me): Action {
  return { ...plain('abort', 'act.abort', 'will.abort', me), danger: true };
}

function rollback(service: ServiceView | null, me: Me): Action {
  const why = service?.cannot_return_because;
  const no = why ? { key: 'no.return' as const, values: { why } } : undefined;
  return { ...plain('rollback', 'act.rollback', 'will.rollback', me, no), danger: true };
}

function plain(verb: Exclude<Verb, 'sign-off'>, label: Key, effect: Key, me: Me, state?: Action['no']): Action {
  const needed = NEEDS[verb];
  const no = may(me, needed) ? state : { key: 'no.role' as const, values: { role: needed } };
  return { verb, label, effect, danger: false, ...(no ? { no } : {}) };
}

function signOff(one: SignOffView, release: ReleaseView, me: Me): Action {
  const action: Action = {
    verb: 'sign-off',
    role: one.role,
    label: 'act.sign',
    effect: 'will.sign',
    danger: false,
  };
  const authors = [release.requested_by, release.requested_person];
  const mine = [me.actor, me.person].filter((name) => name != null);
  if (!maySignOff(me, one.role)) action.no = { key: 'no.sign', values: { role: one.role } };
  else if (one.not_by_author && mine.some((name) => authors.includes(name))) {
    action.no = { key: 'no.author' };
  }
  return action;
}

/** Where an action is sent, and with what. */
export function request(
  action: Action,
  release: ReleaseView,
  words: string,
  done: { item: string; note: string }[],
): { path: string; body: unknown } {
  const base = `/api/v1/releases/${encodeURIComponent(release.release)}`;
  if (action.verb !== 'sign-off') return { path: `${base}/${action.verb}`, body: { reason: words } };
  const items = done.map(({ item, note }) => ({ item, done: true, note }));
  return { path: `${base}/sign-offs`, body: { role: action.role, comment: words, items } };
}
