/** How far the flags have come, and who has not acknowledged a kill. */

import type { FlagStreamView, PropagationView, SinkView } from '../../live/types';

export type Tone = 'good' | 'tables' | 'guards' | 'waits' | 'bad';

export function tone(status: PropagationView): Tone {
  if (status.trouble != null) return 'bad';
  if (!status.current || status.fetched < status.streams || status.unrecorded > 0) return 'waits';
  // A guard that guards nothing, or keeps everybody out, is worse than a table that is late.
  if ((status.guards ?? []).length > 0) return 'guards';
  const tables = (status.sinks ?? []).every((sink) => sinkState(sink) === 'reached');
  return tables && status.sinks_trouble == null ? 'good' : 'tables';
}

/** How a table stands; a word that this page does not know says nothing good. */
export function sinkState(sink: SinkView): 'reached' | 'behind' | 'unknown' {
  return sink.state === 'reached' || sink.state === 'behind' ? sink.state : 'unknown';
}

/** Streams that have not asked since the last kill. */
export function silentOnKill(status: PropagationView): FlagStreamView[] {
  return status.behind.filter((stream) => (stream.fetched?.[1] ?? -1) < status.kill_epoch);
}

/** How many streams are behind beyond those that are named. */
export function unnamed(status: PropagationView): number {
  return Math.max(0, status.streams - status.fetched - status.behind.length);
}

/** Whether a kill has come through; who has not said so has not acknowledged it. */
export function killHeard(status: PropagationView): 'heard' | 'silent' | 'unknown' {
  if (!knowsStreams(status)) return 'unknown';
  if (!status.current) return 'silent';
  return silentOnKill(status).length + unnamed(status) === 0 ? 'heard' : 'silent';
}

/** Without the proxy's answer no number of streams is known, none included. */
export function knowsStreams(status: PropagationView): boolean {
  return status.trouble == null;
}
