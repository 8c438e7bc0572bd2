import { count, decimal, deltaMillis, deltaPoints, millis, percent, shareWords, span } from '../core/format';
import { moodOf } from '../core/gates';
import { freshness } from '../core/staleness';
import { isRunning, others, sides } from '../core/traffic';
import { OUTCOMES, known as word, phase, t } from '../i18n/text';
import { useEvents } from '../live/events';
import { useLoad } from '../live/load';
import { lang } from '../live/settings';
import { link, now, services } from '../live/state';
import type { ReleaseView, ServiceView, VersionTraffic } from '../live/types';
import { Actions } from '../parts/actions';
import { ReturnAnswer } from '../parts/can-return';
import { Charts } from '../parts/charts';
import { Commits } from '../parts/commits';
import { Gates } from '../parts/gates';
import { HealthPanel } from '../parts/health';
import { Logs } from '../parts/logs';
import { Failed, FreshBadge, Loading, MoodBadge, Raw, Time } from '../parts/states';
import { SignOffs } from '../parts/sign-offs';
import { Timeline } from '../parts/timeline';
import { address } from '../router';
import { Share } from './services';

export function Release({ id }: { id: string }) {
  const service = [...services.value.values()].find((one) => one.release?.release === id) ?? null;
  const path = `/api/v1/releases/${encodeURIComponent(id)}`;
  // The stream has the one of now; others are asked for.
  const asked = useLoad<ReleaseView>(service ? null : path, 5_000);
  const release = service?.release ?? asked.data;
  if (!release) {
    return asked.error ? <Failed error={asked.error} again={asked.again} /> : <Loading />;
  }
  return <Shown release={release} service={service} />;
}

function Shown({ release, service }: { release: ReleaseView; service: ServiceView | null }) {
  const running = isRunning(release);
  const ended = release.outcome != null && release.phase === 'ended';
  const events = useEvents(release.release, ended, nudge(release));
  return (
    <div class="release" data-release={release.release} data-phase={release.phase}>
      <Top release={release} service={service} />
      <Actions release={release} service={service} />
      <section class="card way" aria-labelledby="way">
        <h2 id="way">{t('release.way')}</h2>
        <Gates release={release} />
      </section>
      {service && running && <Now service={service} />}
      <section class="card" aria-labelledby="charts">
        <h2 id="charts">{t('release.charts')}</h2>
        <Charts release={release} live={!ended} />
      </section>
      <div class="columns">
        <section class="card" aria-labelledby="story">
          <h2 id="story">{t('release.story')}</h2>
          <Timeline events={events} release={release} />
        </section>
        <div>
          {service && (
            <section class="card" aria-label={t('return.question')}>
              <ReturnAnswer service={service} />
            </section>
          )}
          {release.sign_offs.length > 0 && (
            <section class="card" aria-labelledby="signs">
              <h2 id="signs">{t('release.signs')}</h2>
              <SignOffs release={release} />
            </section>
          )}
          <section class="card" aria-labelledby="health">
            <h2 id="health">{t('release.health')}</h2>
            <HealthPanel release={release} service={service} />
          </section>
          <Commits release={release} />
          <Reports release={release} />
        </div>
      </div>
      <section class="card" aria-labelledby="logs">
        <h2 id="logs">{t('release.logs')}</h2>
        <Logs release={release} live={!ended} />
      </section>
    </div>
  );
}

/** What makes the events worth asking for at once: anything but numbers. */
function nudge(release: ReleaseView): string {
  const { phase: at, share, share_confirmed, hold, paused_by, returning_because, outcome, missing_sign_offs } = release;
  return JSON.stringify([at, share, share_confirmed, hold, paused_by, returning_because, outcome, missing_sign_offs]);
}

function Top({ release, service }: { release: ReleaseView; service: ServiceView | null }) {
  const why = release.reason ?? release.returning_because ?? release.hold;
  const took = release.ended_at_us == null ? null : (release.ended_at_us - release.requested_at_us) / 1e6;
  const until = release.hold_until_us ?? release.needs_person_at_us;
  return (
    <header class="release-top">
      <p class="crumbs">
        <a href="#/">{t('nav.services')}</a> / <a href={address({ page: 'history', service: release.service, outcome: '' })}>{release.service}</a>
      </p>
      <h1>
        {release.service} <span class="version">{release.version}</span> <MoodBadge mood={moodOf(release)} />
      </h1>
      <p class="headline">
        <strong>{release.outcome ? word(OUTCOMES, release.outcome) : phase(release.phase)}</strong>
        {!release.outcome && (
          <>
            {' '}
            · {t(release.share_confirmed ? 'release.share' : 'release.setting', { share: shareWords(release.share) })}
          </>
        )}
        {why && (
          <>
            {' — '}
            <Raw>{why}</Raw>
          </>
        )}
      </p>
      {release.hold && until != null && (
        <p class="notice">
          {until > now.value * 1000
            ? t(release.hold_until_us != null ? 'release.holdUntil' : 'release.personAt', {
                time: span(until / 1e6 - now.value / 1000),
              })
            : t('release.needsPerson')}
        </p>
      )}
      <p class="soft">
        {t('release.asked', { who: release.requested_by })} <Time us={release.requested_at_us} />
        {took !== null && ` · ${t('release.took', { time: span(took) })}`}
        {release.stable && ` · ${t('release.against', { version: release.stable.name })}`}
        {service && service.queue.length > 0 && ` · ${t('services.queue', { n: service.queue.length })}`}
      </p>
    </header>
  );
}

/** The last seconds of both versions, side by side. */
function Now({ service }: { service: ServiceView }) {
  const fresh = freshness(service.traffic_second, now.value);
  const lost = link.value.kind === 'lost';
  const old = fresh.kind !== 'fresh' || lost;
  const { stable, canary, liveShare } = sides(service);
  const one = lang.value;
  const strange = others(service);
  const ours = canary?.traffic ?? null;
  const base = stable?.traffic ?? null;
  return (
    <section class="card now" aria-labelledby="now">
      <div class="head">
        <h2 id="now">{t('release.now')}</h2>
        <FreshBadge fresh={fresh} lost={lost} />
      </div>
      <Share service={service} />
      <div class="scroll" tabIndex={0} role="region" aria-label={t('release.window')}>
        <table class={old ? 'sides old' : 'sides'} data-test="now">
          <thead>
            <tr>
              <th scope="col">{t('num.version')}</th>
              <th scope="col" class="wide">{t('num.share')}</th>
              <th scope="col" class="wide">{t('num.rate')} /s</th>
              <th scope="col">{t('num.requests')}</th>
              <th scope="col">{t('num.failures')}</th>
              <th scope="col">{t('num.errors')}</th>
              <th scope="col">p95</th>
            </tr>
          </thead>
          <tbody>
            {stable && <Row side="stable" name={stable.name} traffic={base} share={liveShare === null ? null : 1 - liveShare} />}
            {canary && <Row side="canary" name={canary.name} traffic={ours} share={liveShare} />}
            {strange.map((traffic) => (
              <Row key={traffic.version} side="other" name={traffic.version.slice(0, 19)} traffic={traffic} share={null} />
            ))}
            {canary && (
              <tr class="difference">
                <th scope="row">{t('num.difference')}</th>
                <td class="wide" />
                <td class="wide" />
                <td />
                <td />
                <td>{deltaPoints(ours?.error_rate, base?.error_rate, one)}</td>
                <td>{deltaMillis(ours?.p95_ms, base?.p95_ms, one)}</td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
      <p class="soft">{t('release.window')}</p>
    </section>
  );
}

function Row({
  side,
  name,
  traffic,
  share,
}: {
  side: 'stable' | 'canary' | 'other';
  name: string;
  traffic: VersionTraffic | null;
  share: number | null;
}) {
  const one = lang.value;
  const label = side === 'other' ? t('side.other') : t(side === 'stable' ? 'side.stable' : 'side.canary');
  return (
    <tr data-side={side}>
      <th scope="row">
        <span class={`key ${side}`} aria-hidden="true" />
        {label} <b>{name}</b>
      </th>
      <td class="wide">{percent(share, one)}</td>
      <td class="wide">{decimal(traffic?.requests_per_s, one)}</td>
      <td>
        <data value={traffic?.requests ?? ''}>{count(traffic?.requests, one)}</data>
      </td>
      <td>
        <data value={traffic?.failures ?? ''}>{count(traffic?.failures, one)}</data>
      </td>
      <td>{percent(traffic?.error_rate, one)}</td>
      <td>{millis(traffic?.p95_ms, one)}</td>
    </tr>
  );
}

const REPORTS = [
  ['report.html', 'report.html', 'HTML'],
  ['report.md', 'report.md', 'Markdown'],
  ['report', 'report.json', 'JSON'],
  ['report.junit.xml', 'report.junit.xml', 'JUnit'],
] as const;

function Reports({ release }: { release: ReleaseView }) {
  const base = `/api/v1/releases/${encodeURIComponent(release.release)}`;
  return (
    <section class="card" aria-labelledby="reports">
      <h2 id="reports">{t('release.reports')}</h2>
      <p>{t('release.reportsMore')}</p>
      <ul class="row links">
        {REPORTS.map(([path, file, name]) => (
          <li key={path}>
            <a href={`${base}/${path}`} download={`${release.service}-${release.version}-${file}`}>
              {name}
            </a>
          </li>
        ))}
        {moodOf(release) === 'back' && (
          <li>
            <a href={`${base}/post-mortem.md`} download={`${release.service}-${release.version}-post-mortem.md`}>
              {t('release.postMortem')}
            </a>
          </li>
        )}
      </ul>
      <p class="soft">
        <code class="id">{release.release}</code>
      </p>
    </section>
  );
}
