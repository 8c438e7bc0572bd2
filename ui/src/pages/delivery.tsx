import { useState } from 'preact/hooks';
import { count, decimal, percent, span } from '../core/format';
import { t } from '../i18n/text';
import { useLoad } from '../live/load';
import { lang } from '../live/settings';
import type { Dora, DoraFigures } from '../live/types';
import { Empty, Failed, Loading } from '../parts/states';
import { address } from '../router';

const SPANS = [7, 30, 90, 365];
const EVERY_MS = 30_000;

/** How often, how fast and how safely: four figures from the record. */
export function Delivery() {
  const [days, setDays] = useState(30);
  const { data, error, again } = useLoad<Dora>(`/api/v1/dora?days=${days}`, EVERY_MS);
  const names = data ? Object.keys(data.services).sort() : [];
  return (
    <>
      <div class="head">
        <h1>{t('nav.delivery')}</h1>
        <label class="find">
          {t('delivery.over')}
          <select value={days} onChange={(event) => setDays(Number(event.currentTarget.value))}>
            {SPANS.map((one) => (
              <option key={one} value={one}>
                {t('delivery.days', { n: one })}
              </option>
            ))}
          </select>
        </label>
      </div>
      {error && <Failed error={error} again={again} />}
      {!data && !error && <Loading />}
      {data && names.length === 0 && (
        <Empty title={t('delivery.none')}>
          <p>{t('delivery.noneMore')}</p>
        </Empty>
      )}
      {data && names.length > 0 && (
        <>
          <Four figures={data.all} />
          <div class="card scroll delivery" tabIndex={0} role="region" aria-label={t('delivery.services')}>
            <table class="sides">
              <caption>{t('delivery.services')}</caption>
              <thead>
                <tr>
                  <th scope="col">{t('history.service')}</th>
                  <th scope="col">{t('delivery.deployments')}</th>
                  <th scope="col">{t('delivery.lead')}</th>
                  <th scope="col">{t('delivery.failed')}</th>
                  <th scope="col">{t('delivery.restore')}</th>
                </tr>
              </thead>
              <tbody>
                {names.map((name) => (
                  <Row key={name} name={name} figures={data.services[name]} />
                ))}
              </tbody>
            </table>
          </div>
          {data.cut_short && <p class="notice">{t('delivery.cut')}</p>}
          <p class="soft">{t('delivery.unknown')}</p>
        </>
      )}
    </>
  );
}

function Four({ figures }: { figures: DoraFigures }) {
  const one = lang.value;
  return (
    <dl class="four">
      <div class="card">
        <dt>{t('delivery.often')}</dt>
        <dd>{t('delivery.perWeek', { n: decimal(figures.deployments_per_week, one) })}</dd>
        <dd class="than">{t('delivery.ofAll', { n: count(figures.deployments, one) })}</dd>
      </div>
      <div class="card">
        <dt>{t('delivery.lead')}</dt>
        <dd>{length(figures.lead_time_ms)}</dd>
        <dd class="than">{t('delivery.ofChanges', { n: count(figures.changes, one) })}</dd>
      </div>
      <div class="card">
        <dt>{t('delivery.failed')}</dt>
        <dd>{rate(figures)}</dd>
        <dd class="than">
          {t('delivery.ofExposed', { n: count(figures.failed, one), all: count(figures.exposed, one) })}
        </dd>
      </div>
      <div class="card">
        <dt>{t('delivery.restore')}</dt>
        <dd>{length(figures.time_to_restore_ms)}</dd>
        <dd class="than">{t('delivery.ofRestored', { n: count(figures.restored, one) })}</dd>
      </div>
    </dl>
  );
}

function Row({ name, figures }: { name: string; figures: DoraFigures | undefined }) {
  if (!figures) return null;
  return (
    <tr data-service={name}>
      <th scope="row">
        <a href={address({ page: 'history', service: name, outcome: '' })}>{name}</a>
      </th>
      <td>
        <data value={figures.deployments}>{count(figures.deployments, lang.value)}</data>
      </td>
      <td>{length(figures.lead_time_ms)}</td>
      <td>{rate(figures)}</td>
      <td>{length(figures.time_to_restore_ms)}</td>
    </tr>
  );
}

const length = (ms: number | null | undefined) => (ms == null ? '–' : span(ms / 1000));

function rate(figures: DoraFigures): string {
  const found = figures.change_failure_percent;
  return percent(found == null ? null : found / 100, lang.value);
}
