import { shareWords, span } from '../core/format';
import { moodOf } from '../core/gates';
import { OUTCOMES, known, phase, t } from '../i18n/text';
import { useLoad } from '../live/load';
import { services } from '../live/state';
import type { ReleaseView } from '../live/types';
import { Empty, Failed, Loading, MoodBadge, Raw, Time } from '../parts/states';
import { address, go } from '../router';

const CHOICES = ['running', 'promoted', 'back', 'refused', 'failed'] as const;
const WORDS = {
  running: 'history.running',
  promoted: 'mood.promoted',
  back: 'mood.back',
  refused: 'mood.refused',
  failed: 'mood.failed',
} as const;
const EVERY_MS = 10_000;

export function History({ service, outcome }: { service: string; outcome: string }) {
  const query = service ? `&service=${encodeURIComponent(service)}` : '';
  const { data, error, again } = useLoad<ReleaseView[]>(`/api/v1/releases?limit=200${query}`, EVERY_MS);
  const names = new Set([...services.value.keys(), ...(service ? [service] : [])]);
  const shown = data?.filter((one) => !outcome || kind(one) === outcome) ?? [];
  return (
    <>
      <div class="head">
        <h1>{t('nav.history')}</h1>
        <div class="row filters">
          <label>
            {t('history.service')}
            <select
              value={service}
              onChange={(event) => go({ page: 'history', service: event.currentTarget.value, outcome })}
            >
              <option value="">{t('history.all')}</option>
              {[...names].sort().map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          <label>
            {t('history.outcome')}
            <select
              value={outcome}
              onChange={(event) => go({ page: 'history', service, outcome: event.currentTarget.value })}
            >
              <option value="">{t('history.all')}</option>
              {CHOICES.map((one) => (
                <option key={one} value={one}>
                  {t(WORDS[one])}
                </option>
              ))}
            </select>
          </label>
        </div>
      </div>
      {error && <Failed error={error} again={again} />}
      {!data && !error && <Loading />}
      {data && shown.length === 0 && (
        <Empty title={t('history.none')}>
          <p>{t(service || outcome ? 'history.noneFiltered' : 'services.noneMore')}</p>
        </Empty>
      )}
      {shown.length > 0 && (
        <ol class="card releases">
          {shown.map((one) => (
            <Line key={one.release} release={one} />
          ))}
        </ol>
      )}
    </>
  );
}

function kind(release: ReleaseView): (typeof CHOICES)[number] {
  const mood = moodOf(release);
  return mood === 'promoted' || mood === 'back' || mood === 'refused' || mood === 'failed' ? mood : 'running';
}

function Line({ release }: { release: ReleaseView }) {
  const took = release.ended_at_us == null ? null : (release.ended_at_us - release.requested_at_us) / 1e6;
  const why = release.reason ?? release.returning_because ?? release.hold;
  return (
    <li>
      <MoodBadge mood={moodOf(release)} />
      <div>
        <p>
          <a href={address({ page: 'release', id: release.release })}>
            {release.service} <b>{release.version}</b>
          </a>{' '}
          {release.outcome
            ? known(OUTCOMES, release.outcome)
            : `${phase(release.phase)} · ${shareWords(release.share)}`}
        </p>
        {why && (
          <p class="why">
            <Raw>{why}</Raw>
          </p>
        )}
      </div>
      <p class="soft when">
        <Time us={release.requested_at_us} />
        <br />
        {release.requested_by}
        {took !== null && ` · ${span(took)}`}
      </p>
    </li>
  );
}
