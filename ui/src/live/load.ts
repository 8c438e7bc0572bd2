/** Something that is asked for once, or again and again, with its empty and error states. */

import { useEffect, useState } from 'preact/hooks';
import { ApiError, get } from './api';

export interface Loaded<T> {
  data: T | null;
  /** Why the last try brought nothing; what came before stays. */
  error: ApiError | null;
  /** When the last good answer came, by this machine's clock. */
  atMs: number | null;
  again(): void;
}

/** @param everyMs how often it is asked for anew; null for once
 *  @param path null for nothing yet */
export function useLoad<T>(path: string | null, everyMs: number | null = null, nudge: unknown = null): Loaded<T> {
  const [state, set] = useState<Omit<Loaded<T>, 'again'> & { path: string | null }>({
    data: null,
    error: null,
    atMs: null,
    path,
  });
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    if (path === null) return;
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const once = async () => {
      try {
        const data = await get<T>(path, end.signal);
        set({ data, error: null, atMs: Date.now(), path });
      } catch (error) {
        if (end.signal.aborted) return;
        const told = error instanceof ApiError ? error : new ApiError(0, '', String(error), '', null);
        set((before) => ({ ...before, data: before.path === path ? before.data : null, error: told, path }));
      }
      if (everyMs !== null && !end.signal.aborted) timer = setTimeout(once, everyMs);
    };
    void once();
    return () => {
      end.abort();
      clearTimeout(timer);
    };
  }, [path, everyMs, asked, nudge]);
  const fits = state.path === path;
  return {
    data: fits ? state.data : null,
    error: fits ? state.error : null,
    atMs: fits ? state.atMs : null,
    again: () => setAsked(asked + 1),
  };
}
