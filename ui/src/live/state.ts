/** What the whole page knows: who looks, what the stream said last, and the time. */

import { computed, signal } from '@preact/signals';
import type { ApiError } from './api';
import type { Me, ServiceView } from './types';

export type Session =
  | { kind: 'asking' }
  | { kind: 'unreachable'; sinceMs: number }
  | { kind: 'out'; error: ApiError | null }
  | { kind: 'in'; me: Me };

export type Link =
  | { kind: 'connecting' }
  | { kind: 'live' }
  | { kind: 'lost'; sinceMs: number; attempt: number; nextMs: number };

export const session = signal<Session>({ kind: 'asking' });
export const link = signal<Link>({ kind: 'connecting' });
export const services = signal<ReadonlyMap<string, ServiceView>>(new Map());
/** Whether the stream has said all that there is at least once. */
export const known = signal(false);
export const unread = signal<number | null>(null);

/** How far the server's clock is ahead of this machine's. */
export const serverOffset = signal(0);
const local = signal(Date.now());
setInterval(() => {
  local.value = Date.now();
}, 1000);
/** The time at the server, to the second. */
export const now = computed(() => local.value + serverOffset.value);

export const me = computed(() => (session.value.kind === 'in' ? session.value.me : null));

/** The session is over, or there was none. */
export function loggedOut(error: ApiError | null): void {
  const was = session.value.kind === 'in';
  session.value = { kind: 'out', error: was ? error : null };
  services.value = new Map();
  known.value = false;
  unread.value = null;
}
