/** Buckets of counts as columns of a chart, and their sums. Gaps stay gaps. */

import type { Bucket, Mark, Series, SeriesSide } from '../live/types';

export type Column = (number | null)[];
export type Which = 'requests' | 'errors' | 'p95';

/** Time in seconds, then stable and canary. */
export function columns(series: Series, which: Which): [number[], Column, Column] {
  const value = { requests: rate, errors: errorPercent, p95: p95 }[which];
  return [
    series.buckets.map((one) => one.start_ms / 1000),
    series.buckets.map((one) => value(one.stable, one)),
    series.buckets.map((one) => value(one.canary, one)),
  ];
}

function rate(side: SeriesSide | null | undefined, bucket: Bucket): number | null {
  return side && bucket.counted_s > 0 ? side.requests / bucket.counted_s : null;
}

function errorPercent(side: SeriesSide | null | undefined): number | null {
  return side?.error_percent ?? null;
}

function p95(side: SeriesSide | null | undefined): number | null {
  return side?.p95_ms ?? null;
}

export interface Total {
  requests: number;
  errors: number;
}

/** Everything that was counted of one side; null when nothing ever was. */
export function total(series: Series, side: 'stable' | 'canary'): Total | null {
  const counted = series.buckets.map((one) => one[side]).filter((one) => one != null);
  if (counted.length === 0) return null;
  return {
    requests: counted.reduce((sum, one) => sum + one.requests, 0),
    errors: counted.reduce((sum, one) => sum + one.errors, 0),
  };
}

/** Seconds of the span in which nobody counted. */
export function gapSeconds(series: Series): number {
  return series.buckets.reduce((sum, one) => sum + Math.max(0, Math.round(one.length_ms / 1000) - one.counted_s), 0);
}

/** Marks that are worth a line in a chart. */
export function lines(series: Series): Mark[] {
  return series.marks.filter((mark) => ['stage', 'hold', 'person', 'return', 'end'].includes(mark.kind));
}

/** At most `most` buckets that hold something, evenly chosen, for a table. */
export function rows(series: Series, most: number): Bucket[] {
  const full = series.buckets.filter((one) => one.counted_s > 0);
  if (full.length <= most) return full;
  const step = full.length / most;
  return Array.from({ length: most }, (_, index) => full[Math.floor(index * step)]).filter((one) => one !== undefined);
}
