/** What a screen reader says by itself. */

import { signal } from '@preact/signals';
import { type Key, t } from '../i18n/text';

export const said = signal<{ id: number; words: string }[]>([]);
let next = 0;

export function announce(key: Key, values: Record<string, string> = {}): void {
  const id = (next += 1);
  // The last few: what was said is no record.
  said.value = [...said.value.slice(-4), { id, words: t(key, values) }];
}
