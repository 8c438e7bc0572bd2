/** How old what is shown is, by the server's clock: a wrong clock here changes nothing. */

/** Counts older than this are old: they come every second, one to two seconds late. */
export const STALE_AFTER_S = 6;
/** The server says something at least every two seconds. */
export const SILENT_AFTER_MS = 7_000;

export type Freshness =
  | { kind: 'none' }
  | { kind: 'fresh'; ageS: number }
  | { kind: 'stale'; ageS: number; sinceUs: number };

/** @param second the newest second that counts are known of */
export function freshness(second: number | null | undefined, nowMs: number): Freshness {
  if (second == null) return { kind: 'none' };
  const ageS = Math.max(0, Math.round(nowMs / 1000 - second));
  return ageS > STALE_AFTER_S
    ? { kind: 'stale', ageS, sinceUs: second * 1_000_000 }
    : { kind: 'fresh', ageS };
}

/** How far the server's clock is ahead; its `Date` header is cut to whole seconds. */
export function clockOffset(dateHeader: string | null, localMs: number): number | null {
  const server = dateHeader === null ? Number.NaN : Date.parse(dateHeader);
  if (Number.isNaN(server)) return null;
  const offset = server + 500 - localMs;
  return Math.abs(offset) < 1_500 ? 0 : offset;
}

/** The pause before try `attempt` (from 1): it doubles, and differs from tab to tab. */
export function backoffMs(attempt: number, random: number): number {
  const whole = Math.min(10_000, 500 * 2 ** Math.min(attempt - 1, 10));
  return Math.round(whole / 2 + (whole / 2) * random);
}
