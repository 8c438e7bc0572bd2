import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { may } from '../core/access';
import { environmentOf, turnOf, turnsOf } from '../core/flags/list';
import { t } from '../i18n/text';
import type { FlagDefinition, FlagSet } from '../live/flags';
import { useLoad } from '../live/load';
import { me, services } from '../live/state';
import type { FlagView, FlagsView } from '../live/types';
import { LastOutcome, askKill, askLift, askState, forget } from '../parts/flags/act';
import { FlagBadges, TurnedBy } from '../parts/flags/badges';
import { ConfirmDialog } from '../parts/flags/confirm';
import { Dependents, Prerequisites } from '../parts/flags/dependents';
import { Editor } from '../parts/flags/editor';
import { Environments } from '../parts/flags/environments';
import { Explain } from '../parts/flags/explain';
import { FlagHistory } from '../parts/flags/history';
import { Propagation, useStatus } from '../parts/flags/propagation';
import { Rules } from '../parts/flags/rules';
import { Who } from '../parts/flags/who';
import { Failed, Loading, Raw } from '../parts/states';
import { address, go } from '../router';

const EVERY_MS = 5_000;

export function Flag({ flag, environment: asked }: { flag: string; environment: string }) {
  const [changed, setChanged] = useState(0);
  const path = `/api/v1/flags/${encodeURIComponent(flag)}`;
  const { data, error, again } = useLoad<FlagView>(path, EVERY_MS, changed);
  // What was said of one flag is not said of the next.
  useEffect(() => forget, [flag]);
  if (!data) return error ? <Failed error={error} again={again} /> : <Loading />;
  const known = Object.keys(data.flag.environments);
  const environment = environmentOf(asked, known);
  return (
    <>
      {error && <Failed error={error} again={again} />}
      <Shown
        key={environment}
        view={data}
        environment={environment}
        changed={changed}
        done={() => setChanged(changed + 1)}
      />
      <ConfirmDialog />
    </>
  );
}

interface Parts {
  view: FlagView;
  environment: string;
  changed: number;
  done: () => void;
}

function Shown({ view, environment, changed, done }: Parts) {
  const flag = view.definition;
  const name = view.flag.key;
  const set = useLoad<FlagSet>('/api/v1/flag-set', null, view.revision);
  const turn = turnOf(turnsOf(services.value.values()), name, environment);
  const status = useStatus();
  // The list of flags past their last day is short, and says whether everything is killed.
  const all = useLoad<FlagsView>(view.flag.killed ? '/api/v1/flags?stale=true' : null, EVERY_MS, changed);
  const mayChange = me.value !== null && may(me.value, 'operator');
  const nudge = `${view.revision} ${view.flag.killed} ${changed}`;
  return (
    <div class="release flag" data-flag={name} data-revision={view.revision}>
      <Top view={view} environment={environment} flag={flag} turned={turn && <TurnedBy turn={turn} />} />
      <LastOutcome />
      {all.data?.all_killed && (
        <p class="wrong" data-test="all-killed">
          <strong>{t('flags.allKilled')}</strong> <a href={address({ page: 'flags', environment })}>{t('nav.flags')}</a>
        </p>
      )}
      {mayChange ? (
        <Buttons view={view} environment={environment} done={done} />
      ) : (
        <p class="soft">{t('flag.readOnly')}</p>
      )}
      <Propagation status={status} />
      <Ruled
        view={view}
        environment={environment}
        set={set.data}
        mayChange={mayChange}
        done={done}
        rules={<Rules flag={flag} environment={environment} turn={turn} killed={view.flag.killed} />}
      />
      <div class="columns">
        <div>
          <section class="card" aria-labelledby="who">
            <h2 id="who">{t('who.title')}</h2>
            <Who name={name} flag={flag} environment={environment} set={set.data} nudge={nudge} />
          </section>
          <section class="card" aria-labelledby="explain">
            <h2 id="explain">{t('explain.title')}</h2>
            <Explain flag={name} environment={environment} set={set.data} />
          </section>
        </div>
        <div>
          <section class="card" aria-labelledby="needs">
            <h2 id="needs">{t('flag.needs')}</h2>
            <Prerequisites flag={flag} environment={environment} />
            <h3>{t('flag.neededBy')}</h3>
            <Dependents of={view.dependents} environment={environment} />
          </section>
          <section class="card" aria-labelledby="past">
            <h2 id="past">{t('nav.history')}</h2>
            <FlagHistory flag={name} mayChange={mayChange} nudge={nudge} done={done} />
          </section>
        </div>
      </div>
    </div>
  );
}

function Top({
  view,
  environment,
  flag,
  turned,
}: {
  view: FlagView;
  environment: string;
  flag: FlagDefinition;
  turned: ComponentChildren;
}) {
  const row = view.flag;
  return (
    <header class="release-top">
      <p class="crumbs">
        <a href={address({ page: 'flags', environment })}>{t('nav.flags')}</a> / {row.key}
      </p>
      <div class="head">
        <h1>
          {row.key} <FlagBadges row={row} here={row.environments[environment]} /> {turned}
        </h1>
        <div class="row filters">
          <Environments
            known={Object.keys(row.environments)}
            at={environment}
            choose={(one) => go({ page: 'flag', flag: row.key, environment: one })}
          />
        </div>
      </div>
      {row.description && (
        <p>
          <Raw>{row.description}</Raw>
        </p>
      )}
      <p class="soft">
        {row.type} · {row.owner ? t('flags.owner', { who: row.owner }) : t('flags.noOwner')}
        {row.project && ` · ${row.project}`}
        {row.expires && ` · ${t('flag.expires', { day: row.expires })}`}
        {flag.aliases && flag.aliases.length > 0 && ` · ${t('flag.aliases', { names: flag.aliases.join(', ') })}`}
        {` · ${t('past.revision', { n: view.revision })}`}
      </p>
    </header>
  );
}

function Buttons({ view, environment, done }: { view: FlagView; environment: string; done: () => void }) {
  const here = view.flag.environments[environment];
  const { killed } = view.flag;
  return (
    <section class="actions buttons" aria-label={t('act.label')}>
      {here && (
        <button
          type="button"
          data-verb={here.enabled ? 'disable' : 'enable'}
          onClick={() => askState(view, environment, !here.enabled, done)}
        >
          {t(here.enabled ? 'state.disable' : 'state.enable', { environment })}
        </button>
      )}
      <button
        type="button"
        class={killed ? 'main' : 'danger'}
        data-verb={killed ? 'lift' : 'kill'}
        onClick={() => (killed ? askLift(view, done) : askKill(view, done))}
      >
        {t(killed ? 'lift.one' : 'kill.one')}
      </button>
    </section>
  );
}

/** Who gets what, to read or to change. */
function Ruled({
  view,
  environment,
  set,
  mayChange,
  done,
  rules,
}: {
  view: FlagView;
  environment: string;
  set: FlagSet | null;
  mayChange: boolean;
  done: () => void;
  rules: ComponentChildren;
}) {
  const [base, setBase] = useState<FlagView | null>(null);
  const button = useRef<HTMLButtonElement>(null);
  const was = useRef(false);
  useEffect(() => {
    // Whoever closes the form goes on where they opened it.
    if (was.current && base === null) button.current?.focus();
    was.current = base !== null;
  }, [base]);
  const known = environment in view.flag.environments;
  const open = (now: FlagView) => {
    // What came of the last change is not said of the next.
    forget();
    setBase(now);
  };
  return (
    <section class="card" aria-labelledby="ruled">
      <div class="head">
        <h2 id="ruled">{t('rule.title', { environment: environment || '–' })}</h2>
        {mayChange && known && base === null && (
          <button ref={button} type="button" data-verb="edit" onClick={() => open(view)}>
            {t('edit.open')}
          </button>
        )}
      </div>
      {base === null ? (
        rules
      ) : (
        <Editor
          base={base}
          environment={environment}
          set={set}
          rebase={setBase}
          close={() => setBase(null)}
          done={() => {
            setBase(null);
            done();
          }}
        />
      )}
    </section>
  );
}
