import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import catalogue from '../src/i18n/catalogue.json';

const SRC = join(import.meta.dirname, '../src');
const all: Record<string, Record<string, string>> = catalogue;

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return /\.tsx?$/.test(entry.name) && entry.name !== 'schema.d.ts' ? [readFileSync(path, 'utf8')] : [];
  });
}

/** What stands against a catalogue, given the page's source. */
function faults(words: Record<string, Record<string, string>>, source: string): string[] {
  const found: string[] = [];
  const holes = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort().join();
  for (const [key, entry] of Object.entries(words)) {
    const { en, es } = entry;
    if (Object.keys(entry).sort().join() !== 'en,es') found.push(`${key}: not English and Spanish alone`);
    if (!en?.trim() || !es?.trim()) found.push(`${key}: empty`);
    else if (holes(en) !== holes(es)) found.push(`${key}: other values in Spanish`);
    if (!source.includes(`'${key}'`)) found.push(`${key}: not used`);
  }
  for (const [, key] of source.matchAll(/\bt\('([^']+)'/g)) {
    if (key !== undefined && !(key in words)) found.push(`${key}: missing`);
  }
  return found;
}

describe('the catalogue', () => {
  it('has every text in both languages, and none that is not used', () => {
    expect(faults(all, sources(SRC).join('\n'))).toEqual([]);
  });

  it('would notice', () => {
    const bad = {
      a: { en: 'x {n}', es: 'x' },
      b: { en: 'x', es: ' ' },
      c: { en: 'x' },
    };
    expect(faults(bad, `t('a'); t('b'); t('d')`)).toEqual([
      'a: other values in Spanish',
      'b: empty',
      'c: not English and Spanish alone',
      'c: empty',
      'c: not used',
      'd: missing',
    ]);
  });
});
