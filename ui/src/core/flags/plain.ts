/** An explanation in plain words, for people who answer users. */

import type { Explanation, Json, Step } from '../../live/flags';
import type { Words } from './words';

/** `varies`: what is known of the tenant does not decide it. */
export type State = 'on' | 'off' | 'other' | 'varies' | 'unknown';

export interface Plain {
  state: State;
  /** The variant, where it says more than on or off. */
  variant: string | null;
  why: Words[];
  /** Single users may have another answer. */
  mayDiffer: boolean;
}

const QUOTED = '"((?:[^"\\\\]|\\\\.)*)"';

export function plain(explanation: Explanation): Plain {
  const { variant, value, error } = explanation;
  if (variant === null) return { state: 'unknown', variant: null, why: [{ key: 'why.noFlag' }], mayDiffer: false };
  if (error !== undefined) {
    return { state: 'varies', variant, why: [{ key: 'why.varies', values: { variant } }], mayDiffer: true };
  }
  return {
    state: stateOf(value),
    variant: typeof value === 'boolean' ? null : variant,
    why: why(explanation.steps, explanation.environment),
    mayDiffer: explanation.steps.some(isOpen),
  };
}

function stateOf(value: Json): State {
  if (typeof value !== 'boolean') return 'other';
  return value ? 'on' : 'off';
}

/** Whether something that was asked could not be answered from what is known. */
function isOpen(step: Step): boolean {
  return (step.stage === 'override' || step.stage === 'rule') && /\bmissing\b|^not known/.test(step.found);
}

function why(steps: readonly Step[], environment: string): Words[] {
  const last = steps.at(-1);
  switch (last?.stage) {
    case 'kill':
      return [{ key: 'why.killed' }];
    case 'state':
      return [{ key: 'why.disabled', values: { environment } }];
    case 'prerequisite': {
      const flag = new RegExp(`^does ${QUOTED}`).exec(last.asked)?.[1] ?? '';
      const inner = last.because ?? [];
      return [{ key: 'why.needs', values: { flag } }, ...(inner.length > 0 ? why(inner, environment) : [])];
    }
    case 'tester':
      return [{ key: 'why.tester' }];
    case 'override':
      return [{ key: last.asked.includes('this user') ? 'why.user' : 'why.tenant' }];
    case 'rule':
    case 'share':
      return [ruled(steps, last)];
    case 'default':
      return [{ key: steps.some((step) => step.stage === 'share') ? 'why.notInShare' : 'why.default' }];
    default:
      return [{ key: 'why.other' }];
  }
}

function ruled(steps: readonly Step[], last: Step): Words {
  const found = new RegExp(`^rule (\\d+)(?: ${QUOTED})?`).exec(last.asked);
  const name = found?.[2];
  const release = /^release (.+)$/.exec(name ?? '')?.[1];
  if (release !== undefined) return { key: 'why.release', values: { release } };
  const number = found?.[1] ?? '';
  const drawn = steps.some((step) => step.stage === 'share' && step.asked.startsWith(`rule ${number}`));
  const rule = name ?? number;
  return { key: drawn ? 'why.inShare' : 'why.rule', values: { rule } };
}
