/** Logging in and out. */

import { backoffMs } from '../core/staleness';
import { ApiError, UNREACHABLE, get, remember, send } from './api';
import { follow, stop } from './stream';
import { loggedOut, session } from './state';
import type { Me } from './types';

/** Finds out who looks; asks again while nobody answers. */
export async function begin(): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return entered(await get<Me>('/api/v1/me'));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return;
      if (session.value.kind !== 'unreachable') {
        session.value = { kind: 'unreachable', sinceMs: Date.now() };
      }
      await new Promise((done) => setTimeout(done, backoffMs(attempt, Math.random())));
    }
  }
}

export async function login(token: string): Promise<void> {
  const answer = await send('POST', '/api/v1/login', { token });
  entered((await answer.json()) as Me);
}

export async function logout(): Promise<void> {
  try {
    await send('POST', '/api/v1/logout');
  } catch (error) {
    // A session that is over already is as good as ended; an end that did not arrive is not.
    if (!(error instanceof ApiError) || error.status === UNREACHABLE) throw error;
  }
  stop();
  loggedOut(null);
}

function entered(me: Me): void {
  remember(me);
  session.value = { kind: 'in', me };
  follow();
}
