/** Numbers and times in words. What is not known is a dash, never a zero. */

export type Lang = 'en' | 'es';

export const UNKNOWN = '–';

export function count(value: number | null | undefined, lang: Lang): string {
  return value == null ? UNKNOWN : new Intl.NumberFormat(lang, { useGrouping: 'always' }).format(value);
}

export function decimal(value: number | null | undefined, lang: Lang, digits = 1): string {
  if (value == null) return UNKNOWN;
  const shape = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(lang, shape).format(value);
}

/** A fraction as per cent. One failure among many is never shown as none. */
export function percent(fraction: number | null | undefined, lang: Lang): string {
  if (fraction == null) return UNKNOWN;
  const value = fraction * 100;
  if (value > 0 && value < 0.01) return `< ${decimal(0.01, lang, 2)} %`;
  return `${decimal(value, lang, value >= 10 ? 1 : 2)} %`;
}

/** Milliseconds; longer ones as seconds. */
export function millis(ms: number | null | undefined, lang: Lang): string {
  if (ms == null) return UNKNOWN;
  if (ms >= 1000) return `${decimal(ms / 1000, lang, 2)} s`;
  return `${decimal(ms, lang, ms < 10 ? 1 : 0)} ms`;
}

/** How much the new version differs from stable, with its sign. */
export function deltaPoints(ours: number | null | undefined, theirs: number | null | undefined, lang: Lang): string {
  if (ours == null || theirs == null) return UNKNOWN;
  return `${signed((ours - theirs) * 100, lang, 2)} pp`;
}

export function deltaMillis(ours: number | null | undefined, theirs: number | null | undefined, lang: Lang): string {
  if (ours == null || theirs == null) return UNKNOWN;
  const by = ours - theirs;
  return `${signed(by, lang, Math.abs(by) < 10 ? 1 : 0)} ms`;
}

function signed(value: number, lang: Lang, digits: number): string {
  const shape = {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    signDisplay: 'exceptZero',
  } as const;
  return new Intl.NumberFormat(lang, shape).format(value);
}

/** A length of time: two units at most. */
export function span(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return two(Math.floor(s / 60), 'min', s % 60, 's');
  if (s < 86_400) return two(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min');
  return two(Math.floor(s / 86_400), 'd', Math.floor((s % 86_400) / 3600), 'h');
}

function two(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

/** A time of day; with the date when it is not of `now`'s day. */
export function clock(us: number, nowMs: number, lang: Lang, timeZone?: string): string {
  const at = new Date(us / 1000);
  const day = (date: Date) => new Intl.DateTimeFormat(lang, { dateStyle: 'short', timeZone }).format(date);
  const time = new Intl.DateTimeFormat(lang, { timeStyle: 'medium', hourCycle: 'h23', timeZone }).format(at);
  if (day(at) === day(new Date(nowMs))) return time;
  const date = new Intl.DateTimeFormat(lang, { day: 'numeric', month: 'short', year: 'numeric', timeZone });
  return `${date.format(at)}, ${time}`;
}

/** The whole of a share such as `25%` or `5% + segment team`; null for segments alone. */
export function shareOf(words: string): number | null {
  const found = /^(\d+(?:\.\d+)?)%/.exec(words);
  return found?.[1] === undefined ? null : Number(found[1]) / 100;
}

/** The plan writes `25%`; people read `25 %`. */
export function shareWords(words: string): string {
  return words.replace(/(\d)%/g, '$1 %');
}
