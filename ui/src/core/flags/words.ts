/** Rules in words. */

import type { Key } from '../../i18n/text';
import type { FlagSettings, Rule } from '../../live/flags';

export interface Words {
  key: Key;
  values?: Record<string, string>;
}

export const TARGETING_KEY = 'targetingKey';

/** Whom a rule means: everything that must hold together. */
export function whom(rule: Rule, lang: 'en' | 'es'): Words[] {
  const all: Words[] = [];
  if (rule.segment) all.push({ key: 'rule.inSegment', values: { segment: rule.segment } });
  if (rule.when) all.push({ key: 'rule.fits', values: { when: rule.when } });
  if (rule.share) {
    const share = bpWords(rule.share['basis-points'], lang);
    all.push({ key: 'rule.share', values: { share, unit: rule.share.of ?? TARGETING_KEY } });
  }
  return all.length > 0 ? all : [{ key: 'rule.everybody' }];
}

/** What it serves them. */
export function serves(rule: Rule, lang: 'en' | 'es'): Words {
  const parts = rule.distribution;
  if (!parts) return { key: 'rule.gets', values: { variant: rule.variant ?? '–' } };
  const list = parts.weights.map((one) => `${one.variant} ${bpWords(one['basis-points'], lang)}`);
  return { key: 'rule.divided', values: { parts: list.join(', '), unit: parts.of ?? TARGETING_KEY } };
}

/** Hundredths of a percent as people read them. */
export function bpWords(points: number, lang: 'en' | 'es'): string {
  return `${new Intl.NumberFormat(lang, { maximumFractionDigits: 2 }).format(points / 100)} %`;
}

/** Whether rules or overrides ask about more than the tenant: then its answer alone is not
 *  everybody's. */
export function asksAboutUsers(settings: FlagSettings, ofTenants: ReadonlySet<string>): boolean {
  const units = new Set(['tenant', ...ofTenants]);
  const names = Object.keys(settings.users ?? {});
  const rules = settings.rules ?? [];
  return (
    names.length > 0 ||
    rules.some((rule) => {
      const drawn = [rule.share, rule.distribution].filter((part) => part !== undefined);
      const whole = rule.share?.['basis-points'] === 10_000;
      return drawn.some((part) => !whole && !units.has(part.of ?? TARGETING_KEY));
    })
  );
}
