import { useState } from 'preact/hooks';
import { actionsOf } from '../core/actions';
import { count, decimal, deltaMillis, deltaPoints, millis, percent, shareOf, shareWords } from '../core/format';
import { moodOf } from '../core/gates';
import { freshness } from '../core/staleness';
import { isRunning, sides } from '../core/traffic';
import { OUTCOMES, known as word, phase, t } from '../i18n/text';
import { lang } from '../live/settings';
import { known, link, me, now, services } from '../live/state';
import type { ReleaseView, ServiceView } from '../live/types';
import { ask } from '../parts/ask';
import { ReturnAnswer } from '../parts/can-return';
import { Empty, FreshBadge, Loading, MoodBadge, Raw } from '../parts/states';
import { address } from '../router';

export function Services() {
  const all = [...services.value.values()];
  const [only, setOnly] = useState('');
  if (!known.value) return <Loading />;
  if (all.length === 0) {
    return (
      <>
        <h1 class="aloud">{t('nav.services')}</h1>
        <Empty title={t('services.none')}>
          <p>{t('services.noneMore')}</p>
          <p>
            <code>esclusa release start --version 1.0.0</code>
          </p>
        </Empty>
      </>
    );
  }
  // What moves comes first.
  const shown = all
    .filter((one) => one.service.toLowerCase().includes(only.trim().toLowerCase()))
    .sort((a, b) => Number(isRunning(b.release)) - Number(isRunning(a.release)));
  return (
    <>
      <div class="head">
        <h1>{t('nav.services')}</h1>
        {all.length > 6 && (
          <label class="find">
            {t('services.find')}
            <input type="search" value={only} onInput={(event) => setOnly(event.currentTarget.value)} />
          </label>
        )}
      </div>
      <div class="tiles">
        {shown.map((one) => (
          <Tile key={one.service} service={one} />
        ))}
      </div>
      {shown.length === 0 && <p class="soft">{t('services.nothingFound')}</p>}
    </>
  );
}

function Tile({ service }: { service: ServiceView }) {
  const release = service.release ?? null;
  const running = isRunning(release);
  const fresh = freshness(service.traffic_second, now.value);
  const old = fresh.kind !== 'fresh' || link.value.kind === 'lost';
  const who = me.value;
  const abort = release && who ? actionsOf(release, service, who).find((one) => one.verb === 'abort') : undefined;
  return (
    <article class={running ? 'card tile running' : 'card tile'} data-service={service.service}>
      <header>
        <h2>{service.service}</h2>
        {release && <MoodBadge mood={moodOf(release)} />}
      </header>
      {release ? <Headline release={release} service={service} /> : <p class="soft">{t('services.noRelease')}</p>}
      <Share service={service} />
      <div class="row">
        <FreshBadge fresh={fresh} lost={link.value.kind === 'lost'} />
      </div>
      <Numbers service={service} old={old} />
      {running && release && (
        <footer class="row">
          <a class="button main" href={address({ page: 'release', id: release.release })}>
            {t('services.open', { version: release.version })}
          </a>
          {abort && (
            <button
              type="button"
              class="danger"
              aria-disabled={abort.no !== undefined}
              title={abort.no ? t(abort.no.key, abort.no.values) : undefined}
              onClick={() => abort.no === undefined && ask(abort, release, service)}
            >
              {t('act.abort')}
            </button>
          )}
        </footer>
      )}
      {!running && (
        <footer class="row">
          <ReturnAnswer service={service} />
          {release && (
            <a href={address({ page: 'release', id: release.release })}>
              {t('services.last', { version: release.version })}
            </a>
          )}
        </footer>
      )}
    </article>
  );
}

function Headline({ release, service }: { release: ReleaseView; service: ServiceView }) {
  const why = release.reason ?? release.returning_because ?? release.hold ?? release.paused_because;
  return (
    <div class="headline">
      <p>
        <strong>{release.version}</strong>{' '}
        {release.outcome ? word(OUTCOMES, release.outcome) : phase(release.phase)}
        {service.queue.length > 0 && <small> · {t('services.queue', { n: service.queue.length })}</small>}
      </p>
      {why && (
        <p class="why">
          <Raw>{why}</Raw>
        </p>
      )}
    </div>
  );
}

/** Who gets which version, as was asked and as was counted. */
export function Share({ service }: { service: ServiceView }) {
  const release = service.release ?? null;
  const { stable, canary, liveShare } = sides(service);
  if (!stable && !canary) return <p class="soft">{t('services.nothingStable')}</p>;
  const asked = canary && release ? shareOf(release.share) : 0;
  const part = liveShare ?? asked ?? 0;
  return (
    <div class="share">
      <div class="share-bar" aria-hidden="true">
        <span class="is-stable" style={{ flexGrow: 1 - part }} />
        {canary && <span class="is-canary" style={{ flexGrow: part }} />}
      </div>
      <dl>
        {stable && (
          <div class="side-stable">
            <dt>
              <span class="key stable" aria-hidden="true" />
              {t('side.stable')} <b>{stable.name}</b>
            </dt>
            <dd>{canary ? percent(liveShare === null ? null : 1 - liveShare, lang.value) : t('side.everybody')}</dd>
          </div>
        )}
        {canary && release && (
          <div class="side-canary">
            <dt>
              <span class="key canary" aria-hidden="true" />
              {t('side.canary')} <b>{canary.name}</b>
            </dt>
            <dd>
              {percent(liveShare, lang.value)}{' '}
              <small>
                {t(release.share_confirmed ? 'side.asked' : 'side.setting', { share: shareWords(release.share) })}
              </small>
            </dd>
          </div>
        )}
      </dl>
    </div>
  );
}

function Numbers({ service, old }: { service: ServiceView; old: boolean }) {
  const { stable, canary } = sides(service);
  const ours = canary?.traffic ?? null;
  const base = stable?.traffic ?? null;
  const one = lang.value;
  const first = canary ? ours : base;
  return (
    <dl class={old ? 'figures old' : 'figures'}>
      <div>
        <dt>{t('num.rate')}</dt>
        <dd>
          {decimal(first?.requests_per_s, one)} <small>{t('num.perSecond')}</small>
        </dd>
        {canary && <dd class="than">{t('num.stableHas', { value: decimal(base?.requests_per_s, one) })}</dd>}
      </div>
      <div>
        <dt>{t('num.errors')}</dt>
        <dd>{percent(first?.error_rate, one)}</dd>
        {canary && <dd class="than">{deltaPoints(ours?.error_rate, base?.error_rate, one)}</dd>}
      </div>
      <div>
        <dt>p95</dt>
        <dd>{millis(first?.p95_ms, one)}</dd>
        {canary && <dd class="than">{deltaMillis(ours?.p95_ms, base?.p95_ms, one)}</dd>}
      </div>
      <div>
        <dt>{t('num.window')}</dt>
        <dd>{count(first?.requests, one)}</dd>
        {canary && <dd class="than">{t('num.stableHas', { value: count(base?.requests, one) })}</dd>}
      </div>
    </dl>
  );
}
