/** Asks the server, as whoever is logged in. */

import type { ApiErrorBody, Me } from './types';
import { clockOffset } from '../core/staleness';
import { loggedOut, serverOffset, session } from './state';

/** The server does not answer at all. */
export const UNREACHABLE = 0;

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly help: string,
    /** Seconds until another try makes sense, where the server says so. */
    readonly retryAfterS: number | null,
    /** Single findings, such as what is wrong with which field. */
    readonly details: readonly unknown[] = [],
  ) {
    super(message);
  }
}

/** What was sent along is not that of the session. */
const OTHER_SESSION = 'ESC-0430';

let csrf: string | undefined;

export function remember(me: Me): void {
  csrf = me.csrf ?? undefined;
}

/** Asks, and gives the answer when it is a good one. */
export async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  const method = options.method ?? 'GET';
  const headers = new Headers(options.headers);
  if (options.body !== undefined) headers.set('Content-Type', 'application/json');
  if (method !== 'GET' && csrf) headers.set('X-Esclusa-Csrf', csrf);
  let response: Response;
  try {
    response = await fetch(path, {
      ...options,
      headers,
      cache: 'no-store',
      credentials: 'same-origin',
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(UNREACHABLE, '', '', '', null);
  }
  const offset = clockOffset(response.headers.get('date'), Date.now());
  if (offset !== null) serverOffset.value = offset;
  if (response.ok) return response;
  const failure = await failed(response);
  if (response.status === 401 && path !== '/api/v1/login') loggedOut(failure);
  // Another tab logged in as somebody else: whoever looks must see who they are now.
  if (failure.code === OTHER_SESSION) void lookAgain();
  throw failure;
}

async function lookAgain(): Promise<void> {
  try {
    const me = await get<Me>('/api/v1/me');
    remember(me);
    session.value = { kind: 'in', me };
  } catch {
    // What was asked has failed already, and says why.
  }
}

async function failed(response: Response): Promise<ApiError> {
  const after = Number(response.headers.get('retry-after') ?? Number.NaN);
  const wait = Number.isFinite(after) ? after : null;
  try {
    const body = (await response.json()) as ApiErrorBody;
    return new ApiError(response.status, body.code, body.message, body.help, wait, body.details ?? []);
  } catch {
    return new ApiError(response.status, '', `HTTP ${response.status}`, '', wait);
  }
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await ask(path, signal ? { signal } : {});
  return (await response.json()) as T;
}

export async function send(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<Response> {
  return ask(path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
}

/** Whatever went wrong, as an error that can be shown. */
export function asApiError(wrong: unknown): ApiError {
  return wrong instanceof ApiError ? wrong : new ApiError(UNREACHABLE, '', String(wrong), '', null);
}
