import { describe, expect, it } from 'vitest';
import * as staleness from '../src/core/staleness';

describe('freshness', () => {
  const now = 1_000_000_000_000;
  const second = now / 1000;

  // DSH-01: old numbers are said to be old within ten seconds.
  it('is stale before ten seconds are over', () => {
    expect(staleness.STALE_AFTER_S).toBeLessThan(10);
    expect(staleness.SILENT_AFTER_MS).toBeLessThan(10_000);
    expect(staleness.freshness(second - 2, now)).toEqual({ kind: 'fresh', ageS: 2 });
    expect(staleness.freshness(second - 10, now)).toEqual({
      kind: 'stale',
      ageS: 10,
      sinceUs: (second - 10) * 1_000_000,
    });
  });

  it('knows no traffic from old traffic', () => {
    expect(staleness.freshness(null, now)).toEqual({ kind: 'none' });
    expect(staleness.freshness(undefined, now)).toEqual({ kind: 'none' });
  });

  it('is not fooled by counts that are ahead', () => {
    expect(staleness.freshness(second + 3, now)).toEqual({ kind: 'fresh', ageS: 0 });
  });
});

describe('the clock of the server', () => {
  it('is taken from its answers when this one is wrong', () => {
    const date = 'Sun, 03 May 2026 14:05:06 GMT';
    const at = Date.parse(date);
    expect(staleness.clockOffset(date, at + 900)).toBe(0);
    expect(staleness.clockOffset(date, at - 3_600_000)).toBe(3_600_500);
    expect(staleness.clockOffset(null, at)).toBeNull();
    expect(staleness.clockOffset('no date', at)).toBeNull();
  });
});

describe('tries', () => {
  it('come less and less often, up to ten seconds', () => {
    const pauses = [1, 2, 3, 4, 5, 6, 7, 50].map((attempt) => staleness.backoffMs(attempt, 1));
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 10000, 10000, 10000]);
    expect(staleness.backoffMs(3, 0)).toBe(1000);
  });
});
