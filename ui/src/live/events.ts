/** A release's events, read on from where the last answer ended. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, get } from './api';
import type { EventView } from './types';

const MOST = 1_000;
const EVERY_MS = 3_000;

export interface Events {
  list: EventView[];
  error: ApiError | null;
  loaded: boolean;
}

/** @param nudge asks at once when it changes */
export function useEvents(release: string, ended: boolean, nudge: string): Events {
  const [state, set] = useState<Events & { release: string }>({ list: [], error: null, loaded: false, release });
  const list = useRef<EventView[]>([]);
  const of = useRef(release);
  if (of.current !== release) {
    of.current = release;
    list.current = [];
  }
  useEffect(() => {
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const once = async () => {
      try {
        for (;;) {
          const after = list.current.at(-1)?.position ?? 0;
          const path = `/api/v1/releases/${encodeURIComponent(release)}/events?after=${after}`;
          const more = await get<EventView[]>(path, end.signal);
          const fresh = more.filter((event) => event.position > after);
          list.current = [...list.current, ...fresh];
          if (more.length < MOST) break;
        }
        set({ list: list.current, error: null, loaded: true, release });
      } catch (error) {
        if (end.signal.aborted) return;
        const told = error instanceof ApiError ? error : new ApiError(0, '', String(error), '', null);
        set({ list: list.current, error: told, loaded: true, release });
      }
      if (!ended && !end.signal.aborted) timer = setTimeout(once, EVERY_MS);
    };
    void once();
    return () => {
      end.abort();
      clearTimeout(timer);
    };
  }, [release, ended, nudge]);
  return state.release === release ? state : { list: [], error: null, loaded: false };
}
