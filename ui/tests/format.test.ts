import { describe, expect, it } from 'vitest';
import * as format from '../src/core/format';

describe('numbers', () => {
  it('shows what is not known as a dash, never as zero', () => {
    for (const words of [format.count(null, 'en'), format.percent(undefined, 'en'), format.millis(null, 'es')]) {
      expect(words).toBe(format.UNKNOWN);
    }
    expect(format.deltaPoints(0.1, null, 'en')).toBe(format.UNKNOWN);
    expect(format.deltaMillis(undefined, 3, 'en')).toBe(format.UNKNOWN);
    expect(format.count(0, 'en')).toBe('0');
  });

  it('never shows a few failures as none', () => {
    expect(format.percent(0, 'en')).toBe('0.00 %');
    expect(format.percent(0.00001, 'en')).toBe('< 0.01 %');
    expect(format.percent(0.0042, 'en')).toBe('0.42 %');
    expect(format.percent(0.255, 'es')).toBe('25,5 %');
  });

  it('groups and signs as the language does', () => {
    expect(format.count(1234567, 'en')).toBe('1,234,567');
    expect(format.count(1234, 'es')).toBe('1.234');
    expect(format.deltaPoints(0.02, 0.005, 'en')).toBe('+1.50 pp');
    expect(format.deltaMillis(8, 20, 'en')).toBe('-12 ms');
    expect(format.deltaMillis(8, 8, 'en')).toBe('0.0 ms');
    expect(format.millis(1234, 'en')).toBe('1.23 s');
    expect(format.millis(4.26, 'en')).toBe('4.3 ms');
  });
});

describe('times', () => {
  it('gives lengths in two units at most', () => {
    expect([0, 59.6, 60, 61, 3600, 3725, 90_000].map(format.span)).toEqual([
      '0 s',
      '1 min',
      '1 min',
      '1 min 1 s',
      '1 h',
      '1 h 2 min',
      '1 d 1 h',
    ]);
    expect(format.span(-5)).toBe('0 s');
  });

  it('names the day when it is another one', () => {
    const at = Date.UTC(2026, 4, 3, 14, 5, 6);
    expect(format.clock(at * 1000, at + 1000, 'en', 'UTC')).toBe('14:05:06');
    expect(format.clock(at * 1000, at + 86_400_000, 'en', 'UTC')).toBe('May 3, 2026, 14:05:06');
  });
});

describe('shares', () => {
  it('reads the share out of the words', () => {
    expect(format.shareOf('25%')).toBe(0.25);
    expect(format.shareOf('0.5% + segment team')).toBe(0.005);
    expect(format.shareOf('segment team')).toBeNull();
    expect(format.shareWords('5% + segment team')).toBe('5 % + segment team');
  });
});
