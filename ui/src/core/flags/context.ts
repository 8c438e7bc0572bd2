/** A context out of the fields of a form. */

import type { Attribute, Json } from '../../live/flags';
import { TARGETING_KEY } from './words';

export interface ContextFields {
  user: string;
  tenant: string;
  /** The targeting key, where it is not the user. */
  targetingKey: string;
  attributes: { name: string; value: string }[];
}

export const EMPTY: ContextFields = { user: '', tenant: '', targetingKey: '', attributes: [] };

/** The context; what is empty is left out, for nothing is what is not known. */
export function contextOf(
  fields: ContextFields,
  declared: Readonly<Record<string, Attribute>>,
): Record<string, Json> {
  const context: Record<string, Json> = {};
  const user = fields.user.trim();
  const unit = fields.targetingKey.trim() || user;
  if (unit !== '') context[TARGETING_KEY] = unit;
  if (user !== '') context.user = user;
  if (fields.tenant.trim() !== '') context.tenant = fields.tenant.trim();
  for (const { name, value } of fields.attributes) {
    const key = name.trim();
    if (key === '' || value.trim() === '') continue;
    const attribute = declared[key];
    set(context, attribute?.key ?? key, typed(value.trim(), attribute?.type));
  }
  return context;
}

/** `risk.score` stands inside `risk`. */
function set(context: Record<string, Json>, path: string, value: Json): void {
  const parts = path.split('.');
  const last = parts.pop() ?? path;
  let here = context;
  for (const part of parts) {
    const inner = Object.hasOwn(here, part) ? here[part] : undefined;
    const next = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner : {};
    here[part] = next;
    here = next;
  }
  here[last] = value;
}

/** A value of its declared type, where it is one; else as it was written. */
function typed(value: string, type: Attribute['type'] | undefined): Json {
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  if (type === 'integer' || type === 'float') {
    const number = Number(value.replace(',', '.'));
    if (Number.isFinite(number)) return number;
  }
  return value;
}
