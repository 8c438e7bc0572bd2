/** Parts of the page that not everybody opens come when they are asked for. */

import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { type ApiError, asApiError } from '../live/api';
import { Failed, Loading } from './states';

type Pages = typeof import('../pages/about-flags');

const pages = signal<Pages | null>(null);
const failure = signal<ApiError | null>(null);

async function load(): Promise<void> {
  failure.value = null;
  try {
    pages.value = await import('../pages/about-flags');
  } catch (wrong) {
    failure.value = asApiError(wrong);
  }
}

/** One of the pages about flags. */
export function AboutFlags({ show }: { show: (pages: Pages) => ComponentChildren }) {
  useEffect(() => {
    if (pages.value === null) void load();
  }, []);
  // What the server has may be newer than this page: then the whole is loaded anew.
  if (failure.value) return <Failed error={failure.value} again={() => location.reload()} />;
  if (!pages.value) return <Loading />;
  return <>{show(pages.value)}</>;
}
