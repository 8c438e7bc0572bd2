/** What this browser was told to remember. */

import { effect, signal } from '@preact/signals';

export type Theme = 'auto' | 'light' | 'dark';

function read(key: string): string | null {
  try {
    return localStorage.getItem(`esclusa-${key}`);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(`esclusa-${key}`, value);
  } catch {
    // Without storage it holds for this tab.
  }
}

const storedTheme = read('theme');
export const theme = signal<Theme>(storedTheme === 'light' || storedTheme === 'dark' ? storedTheme : 'auto');
export const shortcuts = signal(read('shortcuts') !== 'off');
const storedLang = read('lang');
const likes = navigator.languages.find((one) => /^(en|es)\b/i.test(one)) ?? 'en';
export const lang = signal<'en' | 'es'>(
  storedLang === 'en' || storedLang === 'es' ? storedLang : likes.toLowerCase().startsWith('es') ? 'es' : 'en',
);

export function setLang(value: 'en' | 'es'): void {
  lang.value = value;
  write('lang', value);
}

export function setTheme(value: Theme): void {
  theme.value = value;
  write('theme', value);
}

export function setShortcuts(on: boolean): void {
  shortcuts.value = on;
  write('shortcuts', on ? 'on' : 'off');
}

const darkQuery = matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(darkQuery.matches);
darkQuery.addEventListener('change', (event) => {
  systemDark.value = event.matches;
});

export const isDark = () => theme.value === 'dark' || (theme.value === 'auto' && systemDark.value);

effect(() => {
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light';
  document.documentElement.lang = lang.value;
});
