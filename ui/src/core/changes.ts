/** What is worth saying aloud when a service changes. */

import type { Key } from '../i18n/text';
import type { ServiceView } from '../live/types';
import { shareWords } from './format';
import { moodOf } from './gates';

export interface Change {
  key: Key;
  values: Record<string, string>;
}

export function changes(before: ServiceView | undefined, after: ServiceView): Change[] {
  const now = after.release;
  if (!before || !now) return [];
  const was = before.release;
  const values = { service: after.service, version: now.version };
  if (was?.release !== now.release) return [{ key: 'say.began', values }];
  if (!was) return [];
  const mood = moodOf(now);
  if (moodOf(was) !== mood) {
    const why = now.reason ?? now.returning_because ?? now.hold ?? now.paused_because ?? '';
    switch (mood) {
      case 'held':
        return [{ key: 'say.held', values: { ...values, why } }];
      case 'paused':
        return [{ key: 'say.paused', values: { ...values, who: now.paused_by ?? '' } }];
      case 'returning':
        return [{ key: 'say.returning', values: { ...values, why } }];
      case 'promoted':
        return [{ key: 'say.promoted', values }];
      case 'back':
      case 'refused':
        return [{ key: 'say.back', values: { ...values, why } }];
      case 'failed':
        return [{ key: 'say.failed', values: { ...values, why } }];
      default:
        return [{ key: 'say.goesOn', values }];
    }
  }
  if (was.share !== now.share || (!was.share_confirmed && now.share_confirmed)) {
    if (!now.share_confirmed) return [];
    return [{ key: 'say.share', values: { ...values, share: shareWords(now.share) } }];
  }
  return [];
}
