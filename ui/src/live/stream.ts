/**
 * Follows the services. One stream for each tab that is looked at: browsers open only a
 * few connections to a server, and an abort must find one that is free.
 */

import { batch } from '@preact/signals';
import { changes } from '../core/changes';
import { EventReader } from '../core/sse';
import { SILENT_AFTER_MS, backoffMs } from '../core/staleness';
import { announce } from './announce';
import { ask, get } from './api';
import { known, link, services, session, unread } from './state';
import type { InboxView, ServiceView } from './types';

/** How long a tab that nobody looks at stays connected. */
const HIDDEN_MS = 30_000;
const INBOX_EVERY_MS = 15_000;

let current: AbortController | null = null;

export function stop(): void {
  current?.abort();
  current = null;
}

export function follow(): void {
  stop();
  const mine = new AbortController();
  current = mine;
  void run(mine);
  void watchInbox(mine.signal);
}

/** The same again at once: somebody does not want to wait. */
export function retryNow(): void {
  if (session.value.kind === 'in') follow();
}

document.addEventListener('visibilitychange', () => {
  if (session.value.kind !== 'in') return;
  if (document.visibilityState === 'visible') {
    if (current === null) follow();
    return;
  }
  setTimeout(() => {
    if (document.visibilityState === 'hidden') stop();
  }, HIDDEN_MS);
});

async function run(mine: AbortController): Promise<void> {
  if (link.value.kind !== 'lost') link.value = { kind: 'connecting' };
  let attempt = 0;
  let sinceMs = Date.now();
  while (!mine.signal.aborted && session.value.kind === 'in') {
    const heard = await read(mine.signal);
    if (mine.signal.aborted || session.value.kind !== 'in') return;
    if (heard) {
      attempt = 0;
      sinceMs = Date.now();
    }
    attempt += 1;
    const pause = backoffMs(attempt, Math.random());
    link.value = { kind: 'lost', sinceMs, attempt, nextMs: Date.now() + pause };
    if (heard) announce('say.lost');
    await new Promise((done) => setTimeout(done, pause));
  }
}

/** Reads one stream to its end; gives whether it said anything. */
async function read(signal: AbortSignal): Promise<boolean> {
  const own = new AbortController();
  const end = () => own.abort();
  signal.addEventListener('abort', end);
  let silence: ReturnType<typeof setTimeout> | undefined;
  let heard = false;
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(end, SILENT_AFTER_MS);
  };
  try {
    listen();
    const response = await ask('/api/v1/stream', { signal: own.signal });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (!reader) return false;
    const events = new EventReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return heard;
      listen();
      heard = true;
      const messages = events.push(value);
      batch(() => {
        if (link.value.kind === 'lost') announce('say.live');
        if (link.value.kind !== 'live') link.value = { kind: 'live' };
        known.value = true;
        for (const message of messages) {
          if (message.kind === 'service') take(JSON.parse(message.data) as ServiceView);
        }
      });
    }
  } catch {
    return heard;
  } finally {
    clearTimeout(silence);
    signal.removeEventListener('abort', end);
  }
}

function take(view: ServiceView): void {
  const before = services.value.get(view.service);
  const all = [...services.value].filter(([name]) => name !== view.service);
  all.push([view.service, view]);
  services.value = new Map(all.sort(([a], [b]) => a.localeCompare(b)));
  for (const change of changes(before, view)) announce(change.key, change.values);
}

async function watchInbox(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const inbox = await get<InboxView>('/api/v1/inbox?limit=1', signal);
      unread.value = inbox.unread;
    } catch {
      // The number stays; the stream says what is wrong.
    }
    await new Promise((done) => setTimeout(done, INBOX_EVERY_MS));
  }
}
