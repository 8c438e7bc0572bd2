import { useEffect, useState } from 'preact/hooks';
import { contextOf, EMPTY } from '../core/flags/context';
import { environmentOf } from '../core/flags/list';
import { type Plain, plain } from '../core/flags/plain';
import { written } from '../core/flags/change';
import { type Key, t } from '../i18n/text';
import { announce } from '../live/announce';
import { type ApiError, asApiError, send } from '../live/api';
import type { Explanation, FlagSet } from '../live/flags';
import { useLoad } from '../live/load';
import type { ExplainedView, FlagRow, FlagsView } from '../live/types';
import { Environments } from '../parts/flags/environments';
import { Text } from '../parts/flags/explain';
import { stampOf, useStatus } from '../parts/flags/propagation';
import { Say } from '../parts/flags/rules';
import { Icon, type Shape } from '../parts/icons';
import { Empty, Failed, Loading, Raw } from '../parts/states';
import { address, go } from '../router';

/** Flags that are asked about at once. */
const PAGE = 50;
/** Questions under way at the same time. */
const TOGETHER = 4;

const STATES: Readonly<Record<Plain['state'], { key: Key; shape: Shape; tone: string }>> = {
  on: { key: 'avail.on', shape: 'passed', tone: 'is-pass' },
  off: { key: 'avail.off', shape: 'closed', tone: '' },
  other: { key: 'avail.other', shape: 'run', tone: '' },
  varies: { key: 'avail.varies', shape: 'unknown', tone: '' },
  unknown: { key: 'health.unknown', shape: 'unknown', tone: 'is-fail' },
};

/** Which features one tenant has, and why, for people who answer its users. */
export function Availability({ tenant, user, environment: asked }: { tenant: string; user: string; environment: string }) {
  const stamp = stampOf(useStatus());
  const flags = useLoad<FlagsView>(stamp === null ? null : '/api/v1/flags', null, stamp);
  const set = useLoad<FlagSet>('/api/v1/flag-set', null, flags.data?.revision ?? null);
  const environment = environmentOf(asked, flags.data?.environments ?? []);
  const [who, setWho] = useState({ tenant, user });
  useEffect(() => setWho({ tenant, user }), [tenant, user]);
  const submit = (event: Event) => {
    event.preventDefault();
    go({ page: 'availability', tenant: who.tenant.trim(), user: who.user.trim(), environment });
  };
  const known = Object.keys(set.data?.tenants ?? {});
  const failure = flags.error ?? set.error;
  return (
    <>
      <p class="crumbs">
        <a href={address({ page: 'flags', environment })}>{t('nav.flags')}</a> / {t('avail.title')}
      </p>
      <div class="head">
        <h1>{tenant === '' ? t('avail.title') : t('avail.of', { tenant })}</h1>
        <div class="row filters">
          <Environments
            known={flags.data?.environments ?? []}
            at={environment}
            choose={(one) => go({ page: 'availability', tenant, user, environment: one })}
          />
        </div>
      </div>
      <form class="card fields avail-form" data-test="avail-form" onSubmit={submit}>
        <Text label={t('explain.tenant')} value={who.tenant} set={(one) => setWho({ ...who, tenant: one })} list={known} />
        <Text label={t('avail.user')} value={who.user} set={(one) => setWho({ ...who, user: one })} />
        <div class="row">
          <button type="submit" class="main">
            {t('avail.show')}
          </button>
        </div>
      </form>
      {failure && <Failed error={failure} again={flags.error ? flags.again : set.again} />}
      {tenant === '' && <Empty title={t('avail.choose')} />}
      {tenant !== '' && set.data && !known.includes(tenant) && (
        <p class="notice" data-test="not-listed">
          {t('avail.notListed', { tenant })}
        </p>
      )}
      {tenant !== '' && !flags.data && !flags.error && <Loading />}
      {tenant !== '' && flags.data && (
        <Answers
          key={`${tenant}\n${user}\n${environment}`}
          rows={flags.data.flags}
          revision={flags.data.revision}
          killed={flags.data.flags.filter((row) => row.killed).map((row) => row.key).join()}
          context={{ tenant, user }}
          environment={environment}
        />
      )}
    </>
  );
}

interface Asked {
  rows: readonly FlagRow[];
  revision: number;
  killed: string;
  context: { tenant: string; user: string };
  environment: string;
}

function Answers({ rows, revision, killed, context, environment }: Asked) {
  const [find, setFind] = useState('');
  const [most, setMost] = useState(PAGE);
  const words = find.trim().toLowerCase();
  const found = rows.filter((row) => `${row.key}\n${row.description ?? ''}`.toLowerCase().includes(words));
  const shown = found.slice(0, most);
  const names = shown.map((row) => row.key).join('\n');
  const { answers, error } = useAnswers(names, { context, environment }, `${revision} ${killed}`);
  return (
    <>
      <div class="row filters flag-filters">
        <label>
          {t('services.find')}
          <input type="search" value={find} onInput={(event) => setFind(event.currentTarget.value)} />
        </label>
      </div>
      {error && <Failed error={error} />}
      {shown.length === 0 && <p class="soft">{t('avail.nothing')}</p>}
      {shown.length > 0 && (
        <ul class="card releases" data-test="availability">
          {shown.map((row) => (
            <Line key={row.key} row={row} answer={answers.get(row.key)} environment={environment} />
          ))}
        </ul>
      )}
      {found.length > most && (
        <button type="button" onClick={() => setMost(most + PAGE)}>
          {t('flags.showMore', { n: Math.min(PAGE, found.length - most) })}
        </button>
      )}
    </>
  );
}

function Line({
  row,
  answer,
  environment,
}: {
  row: FlagRow;
  answer: Explanation | undefined;
  environment: string;
}) {
  const said = answer ? plain(answer) : null;
  const state = said ? STATES[said.state] : null;
  return (
    <li data-flag={row.key} data-state={said?.state}>
      <span class={`health-word ${state?.tone ?? ''}`}>
        {state ? (
          <>
            <Icon shape={state.shape} />
            {t(state.key, { variant: said?.variant ?? '' })}
          </>
        ) : (
          t('state.loading')
        )}
      </span>
      <div>
        <p>
          <a href={address({ page: 'flag', flag: row.key, environment })}>{row.key}</a>
          {row.description && (
            <span class="soft">
              {' '}
              — <Raw>{row.description}</Raw>
            </span>
          )}
        </p>
        {said && (
          <p class="why">
            {said.why.map((one, index) => (
              <span key={index}>
                {index > 0 && ' '}
                <Say words={one} />
              </span>
            ))}
            {said.state === 'other' && ` ${t('avail.value', { value: written(answer?.value) ?? 'null' })}`}
          </p>
        )}
        {said?.mayDiffer && said.state !== 'varies' && <p class="soft">{t('avail.mayDiffer')}</p>}
      </div>
    </li>
  );
}

/** One explanation a flag, a few at a time, until all that are shown have one. */
function useAnswers(
  names: string,
  asked: Pick<Asked, 'context' | 'environment'>,
  nudge: string,
): { answers: ReadonlyMap<string, Explanation>; error: ApiError | null } {
  const [answers, setAnswers] = useState<ReadonlyMap<string, Explanation>>(new Map());
  const [error, setError] = useState<ApiError | null>(null);
  const { tenant, user } = asked.context;
  const { environment } = asked;
  useEffect(() => {
    let over = false;
    const open = names === '' ? [] : names.split('\n');
    const body = { environment: environment || null, context: contextOf({ ...EMPTY, tenant, user }, {}) };
    const one = async (): Promise<void> => {
      for (let name = open.shift(); name !== undefined && !over; name = open.shift()) {
        const key = name;
        const response = await send('POST', `/api/v1/flags/${encodeURIComponent(key)}/explain`, body);
        const found = ((await response.json()) as ExplainedView).explanation;
        if (!over) setAnswers((before) => new Map(before).set(key, found));
      }
    };
    setError(null);
    const all = Array.from({ length: TOGETHER }, one);
    Promise.all(all)
      .then(() => {
        if (!over && names !== '') announce('say.available');
      })
      .catch((wrong: unknown) => {
        if (!over) setError(asApiError(wrong));
        over = true;
      });
    return () => {
      over = true;
    };
  }, [names, tenant, user, environment, nudge]);
  return { answers, error };
}
