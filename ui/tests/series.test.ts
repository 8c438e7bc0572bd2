import { expect, it } from 'vitest';
import { columns, gapSeconds, rows, total } from '../src/core/series';
import type { Bucket, Series } from '../src/live/types';

const side = (requests: number, errors: number) => ({
  requests,
  errors,
  error_percent: requests > 0 ? (errors * 100) / requests : null,
  p95_ms: requests > 0 ? 12 : null,
});
const bucket = (index: number, more: Partial<Bucket>): Bucket => ({
  start_ms: index * 2000,
  length_ms: 2000,
  counted_s: 2,
  share_percent: 5,
  ...more,
});
const series: Series = {
  from_ms: 0,
  to_ms: 6000,
  bucket_ms: 2000,
  buckets: [
    bucket(0, { stable: side(20, 1), canary: side(0, 0) }),
    bucket(1, { counted_s: 0, stable: null, canary: null }),
    bucket(2, { counted_s: 1, stable: side(5, 0), canary: side(4, 2) }),
  ],
  marks: [],
  marks_left_out: 0,
};

// DSH-02, DSH-03
it('keeps gaps as gaps', () => {
  expect(columns(series, 'requests')).toEqual([[0, 2, 4], [10, null, 5], [0, null, 4]]);
  expect(columns(series, 'errors')).toEqual([[0, 2, 4], [5, null, 0], [null, null, 50]]);
  expect(columns(series, 'p95')[2]).toEqual([null, null, 12]);
  expect(gapSeconds(series)).toBe(3);
});

it('adds up every request', () => {
  expect(total(series, 'stable')).toEqual({ requests: 25, errors: 1 });
  expect(total(series, 'canary')).toEqual({ requests: 4, errors: 2 });
  expect(total({ ...series, buckets: [] }, 'canary')).toBeNull();
});

it('chooses rows from the whole span', () => {
  const long = { ...series, buckets: Array.from({ length: 100 }, (_, index) => bucket(index, {})) };
  const chosen = rows(long, 10);
  expect(chosen.length).toBe(10);
  expect(chosen[9]?.start_ms).toBe(180_000);
  expect(rows(series, 10).length).toBe(2);
});
