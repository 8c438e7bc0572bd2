import { useState } from 'preact/hooks';
import { may } from '../core/access';
import {
  type Filter,
  SHOWN,
  type Shown,
  type Turn,
  environmentOf,
  filtered,
  projects,
  turnOf,
  turnsOf,
} from '../core/flags/list';
import { type Key, t } from '../i18n/text';
import { useLoad } from '../live/load';
import { me, services } from '../live/state';
import type { FlagRow, FlagsView } from '../live/types';
import { LastOutcome, askKill, askLift } from '../parts/flags/act';
import { FlagBadges, TurnedBy } from '../parts/flags/badges';
import { ConfirmDialog } from '../parts/flags/confirm';
import { Environments } from '../parts/flags/environments';
import { Propagation, stampOf, useStatus } from '../parts/flags/propagation';
import { Empty, Failed, Loading, Raw } from '../parts/states';
import { address, go } from '../router';

/** Most flags that are shown at once. */
const PAGE = 200;

const CHOICES: Readonly<Record<Shown, Key>> = {
  all: 'history.all',
  killed: 'flags.killed',
  disabled: 'flags.disabled',
  release: 'flags.release',
  stale: 'flags.stale',
};

/** All flags, as they stand in one environment. */
export function Flags({ environment: asked }: { environment: string }) {
  const status = useStatus();
  const stamp = stampOf(status);
  const { data, error, again } = useLoad<FlagsView>(stamp === null ? null : '/api/v1/flags', null, stamp);
  const environment = environmentOf(asked, data?.environments ?? []);
  return (
    <>
      <div class="head">
        <h1>{t('nav.flags')}</h1>
        {data && data.flags.length > 0 && (
          <div class="row filters">
            <Environments
              known={data.environments}
              at={environment}
              choose={(one) => go({ page: 'flags', environment: one })}
            />
            <a class="button" href={address({ page: 'availability', tenant: '', user: '', environment })}>
              {t('flags.forTenant')}
            </a>
          </div>
        )}
      </div>
      <LastOutcome />
      {data && data.flags.length > 0 && <Propagation status={status} />}
      {error && <Failed error={error} again={again} />}
      {!data && !error && <Loading />}
      {data?.flags.length === 0 && (
        <Empty title={t('flags.none')}>
          <p>{t('flags.noneMore')}</p>
          <p>
            <code>esclusa flag apply flags.json --reason …</code>
          </p>
        </Empty>
      )}
      {data && data.flags.length > 0 && <List view={data} environment={environment} again={again} />}
      <ConfirmDialog />
    </>
  );
}

function List({ view, environment, again }: { view: FlagsView; environment: string; again: () => void }) {
  const [filter, setFilter] = useState<Filter>({ find: '', project: '', shown: 'all' });
  const [most, setMost] = useState(PAGE);
  const turns = turnsOf(services.value.values());
  const found = filtered(view.flags, filter, environment, turns);
  const mayKill = me.value !== null && may(me.value, 'operator');
  return (
    <>
      {view.all_killed && (
        <p class="wrong" data-test="all-killed">
          <strong>{t('flags.allKilled')}</strong>
        </p>
      )}
      <div class="row filters flag-filters">
        <label>
          {t('services.find')}
          <input
            type="search"
            data-test="find"
            value={filter.find}
            onInput={(event) => setFilter({ ...filter, find: event.currentTarget.value })}
          />
        </label>
        <label>
          {t('flags.show')}
          <select
            data-test="show"
            value={filter.shown}
            onChange={(event) => setFilter({ ...filter, shown: event.currentTarget.value as Shown })}
          >
            {SHOWN.map((one) => (
              <option key={one} value={one}>
                {t(CHOICES[one])}
              </option>
            ))}
          </select>
        </label>
        <Projects view={view} filter={filter} change={setFilter} />
        {mayKill && (
          <button
            type="button"
            class={view.all_killed ? undefined : 'danger'}
            data-verb={view.all_killed ? 'lift-all' : 'kill-all'}
            onClick={() => (view.all_killed ? askLift(null, again) : askKill(null, again))}
          >
            {t(view.all_killed ? 'lift.all' : 'kill.all')}
          </button>
        )}
      </div>
      <p class="soft" role="status" data-test="found">
        {t('flags.found', { n: found.length, all: view.flags.length })}
      </p>
      {found.length > 0 && (
        <ol class="card releases flags" data-test="flags">
          {found.slice(0, most).map((row) => (
            <Line key={row.key} row={row} environment={environment} turn={turnOf(turns, row.key, environment)} />
          ))}
        </ol>
      )}
      {found.length > most && (
        <button type="button" onClick={() => setMost(most + PAGE)}>
          {t('flags.showMore', { n: Math.min(PAGE, found.length - most) })}
        </button>
      )}
    </>
  );
}

function Projects({ view, filter, change }: { view: FlagsView; filter: Filter; change: (filter: Filter) => void }) {
  const names = projects(view.flags);
  if (names.length === 0) return null;
  return (
    <label>
      {t('flags.project')}
      <select
        data-test="project"
        value={filter.project}
        onChange={(event) => change({ ...filter, project: event.currentTarget.value })}
      >
        <option value="">{t('history.all')}</option>
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Line({ row, environment, turn }: { row: FlagRow; environment: string; turn: Turn | undefined }) {
  const here = row.environments[environment];
  const rules = here ? here.rules + here.users + here.tenants : 0;
  return (
    <li data-flag={row.key} data-killed={row.killed} data-stale={row.stale}>
      <p>
        <span class="soft">{t('flags.serves')}</span> <b>{here?.default ?? '–'}</b>
      </p>
      <div>
        <p>
          <a href={address({ page: 'flag', flag: row.key, environment })}>
            <b>{row.key}</b>
          </a>{' '}
          <FlagBadges row={row} here={here} /> {turn && <TurnedBy turn={turn} />}
        </p>
        {row.description && (
          <p class="why">
            <Raw>{row.description}</Raw>
          </p>
        )}
      </div>
      <p class="soft when">
        {row.type}
        {row.project && ` · ${row.project}`}
        <br />
        {row.owner ? t('flags.owner', { who: row.owner }) : t('flags.noOwner')}
        {rules > 0 && ` · ${t('flags.rules', { n: rules })}`}
      </p>
    </li>
  );
}
