/** What is shown while there is nothing to show. */

import type { ComponentChildren } from 'preact';
import { clock } from '../core/format';
import { MOODS, t } from '../i18n/text';
import { type ApiError, UNREACHABLE } from '../live/api';
import { lang } from '../live/settings';
import { now } from '../live/state';
import type { Mood } from '../core/gates';
import type { Freshness } from '../core/staleness';
import { Icon, MOOD_SHAPES, Mark } from './icons';

export function Loading() {
  return (
    <div class="nothing" role="status">
      <span class="filling" aria-hidden="true">
        <Mark />
      </span>
      <p>{t('state.loading')}</p>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="nothing">
      <Mark />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** What went wrong, and what to do next, in the server's words. */
export function Failed({ error, again }: { error: ApiError; again?: () => void }) {
  const words = error.status === UNREACHABLE ? t('state.unreachable') : error.message;
  const next = error.status === UNREACHABLE ? t('state.unreachableMore') : error.help;
  return (
    <div class="failed" role="alert">
      <p>
        <Icon shape="fail" />
        <strong>{words}</strong> {error.code && <code>{error.code}</code>}
      </p>
      {next && <p>{next}</p>}
      {again && (
        <button type="button" onClick={again}>
          {t('state.again')}
        </button>
      )}
    </div>
  );
}

export function MoodBadge({ mood }: { mood: Mood }) {
  return (
    <span class={`badge mood-${mood}`} data-mood={mood}>
      <Icon shape={MOOD_SHAPES[mood]} />
      {t(MOODS[mood])}
    </span>
  );
}

/** How old the numbers beside it are. */
export function FreshBadge({ fresh, lost }: { fresh: Freshness; lost: boolean }) {
  const at = (us: number) => clock(us, now.value, lang.value);
  if (fresh.kind === 'none') {
    return (
      <span class="fresh none" data-fresh="none">
        <Icon shape="unknown" />
        {t('fresh.none')}
      </span>
    );
  }
  if (fresh.kind === 'stale' || lost) {
    const since = fresh.kind === 'stale' ? fresh.sinceUs : now.value * 1000 - fresh.ageS * 1e6;
    return (
      <span class="fresh stale" data-fresh="stale">
        <Icon shape="clock" />
        {t('fresh.stale', { time: at(since) })}
      </span>
    );
  }
  return (
    <span class="fresh live" data-fresh="live">
      <span class="dot" aria-hidden="true" />
      {t('fresh.live')}
    </span>
  );
}

export function Time({ us }: { us: number | null | undefined }) {
  if (us == null) return <>–</>;
  return <time dateTime={new Date(us / 1000).toISOString()}>{clock(us, now.value, lang.value)}</time>;
}

/** Words of the server or of people, in whatever language they are. */
export function Raw({ children }: { children: ComponentChildren }) {
  return <span lang={lang.value === 'en' ? undefined : 'en'}>{children}</span>;
}
