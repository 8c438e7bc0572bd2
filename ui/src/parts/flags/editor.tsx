/** Changes whom a flag serves what. Nothing is saved before it was shown whose answers change. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { type Affected, grouped, isCut, readContexts } from '../../core/flags/affected';
import { changesTo, settingsPath } from '../../core/flags/change';
import { type Draft, type Fault, draftOf, settingsOf } from '../../core/flags/draft';
import { onTop, problemsOf } from '../../core/flags/pointer';
import { t } from '../../i18n/text';
import { announce } from '../../live/announce';
import { type ApiError, asApiError, send } from '../../live/api';
import type { Change, FlagSet, FlagSettings, Json, Problem } from '../../live/flags';
import type { ChangedView, FlagView, WouldChangeView } from '../../live/types';
import { tellChanged } from './act';
import { Conflict } from './conflict';
import { Reason, Refusal } from './confirm';
import { FieldProblems } from './field';
import { SettingsFields } from './settings-fields';
import { WouldChangePanel } from './would-change';

const CONFLICT = 409;

/** What the server said of one draft. */
interface Looked {
  draft: Draft;
  contexts: string;
  changes: Change[];
  asked: number;
  affected: number;
  groups: Affected[];
  cut: boolean;
  recent: number;
  unknown: string | null;
}

export function Editor({
  base,
  environment,
  set,
  rebase,
  close,
  done,
}: {
  base: FlagView;
  environment: string;
  set: FlagSet | null;
  rebase: (base: FlagView) => void;
  close: () => void;
  done: () => void;
}) {
  const flag = base.definition;
  const key = base.flag.key;
  const path = settingsPath(key, environment);
  const [draft, setDraft] = useState<Draft>(() => draftOf(flag, environment));
  const [contexts, setContexts] = useState('');
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const [error, setError] = useState<ApiError | null>(null);
  const [looked, setLooked] = useState<Looked | null>(null);
  const [reason, setReason] = useState('');
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const result = useRef<HTMLDivElement>(null);
  useEffect(() => form.current?.focus(), []);
  useEffect(() => {
    // The first field that is wrong, so that nobody has to look for it.
    if (problems.length > 0) form.current?.querySelector<HTMLElement>('[aria-invalid=true]')?.focus();
  }, [problems]);
  useEffect(() => {
    if (looked) result.current?.focus();
  }, [looked]);
  // What was shown holds for what was written then.
  const current = looked?.draft === draft && looked.contexts === contexts && looked.changes.length > 0;

  const look = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    setError(null);
    setLooked(null);
    const { settings, faults } = settingsOf(draft, path);
    const given = readContexts(contexts);
    const wrong: Problem[] = faults.map(said);
    if (given.wrong.length > 0) {
      wrong.push({ path: '#contexts', code: 'format', message: t('edit.wrongLines', { n: given.wrong.join(', ') }) });
    }
    setProblems(wrong);
    if (wrong.length > 0) return announce('say.wrong', { n: String(wrong.length) });
    const changes = changesTo(key, flag, environment, settings);
    const empty = { draft, contexts, changes, asked: 0, affected: 0, groups: [], cut: false, recent: 0, unknown: null };
    if (changes.length === 0) return setLooked(empty);
    setBusy(true);
    try {
      const body = { environment: environment || null, changes };
      const asked = [compare(body), compare({ ...body, recent: true })];
      if (given.contexts.length > 0) asked.push(compare({ ...body, contexts: given.contexts }));
      const answers = await Promise.all(asked);
      const recent = answers[1]?.asked ?? 0;
      const unknown = answers[1]?.unknown ?? null;
      const all = answers.flatMap((one) => one.changed);
      const sum = (of: (one: WouldChangeView) => number) => answers.reduce((n, one) => n + of(one), 0);
      const affected = sum((one) => one.contexts);
      const cut = answers.some((one) => isCut(one.changed));
      setLooked({ ...empty, asked: sum((one) => one.asked), affected, groups: grouped(all, key), cut, recent, unknown });
      announce('say.wouldChange', { n: String(affected) });
    } catch (failure) {
      refused(asApiError(failure));
    }
    setBusy(false);
  };

  const refused = (failure: ApiError) => {
    const found = failure.status === CONFLICT ? [] : problemsOf(failure.details);
    setProblems(found);
    setError(failure);
    announce('say.wrong', { n: String(Math.max(1, found.length)) });
  };

  const save = async (event: Event) => {
    event.preventDefault();
    if (busy || !current || !looked || reason.trim() === '') return;
    setBusy(true);
    setError(null);
    try {
      const body = { revision: base.revision, changes: looked.changes, reason: reason.trim() };
      const answer = await send('PATCH', '/api/v1/flag-set', body);
      tellChanged((await answer.json()) as ChangedView);
      done();
    } catch (failure) {
      setBusy(false);
      setLooked(null);
      refused(asApiError(failure));
    }
  };

  const keepMine = (fresh: FlagView) => {
    const { settings, faults } = settingsOf(draft, path);
    if (faults.length > 0) return setProblems(faults.map(said));
    const theirs = fresh.definition;
    const [before, now] = [flag, theirs].map((one) => (one.environments?.[environment] ?? {}) as unknown as Json);
    const merged = onTop(before, settings as unknown as Json, now) as unknown as FlagSettings;
    setDraft(draftOf({ ...theirs, environments: { ...theirs.environments, [environment]: merged } }, environment));
    rebase(fresh);
    setError(null);
    setLooked(null);
  };

  return (
    <div class="editor" data-test="editor">
      <form ref={form} tabIndex={-1} aria-label={t('edit.label', { flag: key })} onSubmit={(event) => void look(event)}>
        <SettingsFields
          draft={draft}
          change={setDraft}
          flag={flag}
          set={set}
          path={path}
          problems={problems}
        />
        <details>
          <summary>{t('edit.contexts')}</summary>
          <div class="field">
            <label for="contexts">{t('edit.contextsMore')}</label>
            <textarea
              id="contexts"
              rows={3}
              spellcheck={false}
              value={contexts}
              aria-invalid={problems.some((one) => one.path === '#contexts')}
              aria-describedby="contexts-wrong"
              onInput={(event) => setContexts(event.currentTarget.value)}
            />
            <FieldProblems id="contexts-wrong" problems={problems.filter((one) => one.path === '#contexts')} />
          </div>
        </details>
        {error?.status === CONFLICT ? (
          <Conflict
            base={base}
            error={error}
            startAgain={(fresh) => {
              setDraft(draftOf(fresh.definition, environment));
              rebase(fresh);
              setError(null);
            }}
            keepMine={keepMine}
          />
        ) : (
          error && <Refusal error={error} />
        )}
        <div class="row">
          <button type="submit" class={current ? undefined : 'main'} data-verb="look" aria-disabled={busy}>
            {t('edit.look')}
          </button>
          <button type="button" class="quiet" onClick={close}>
            {t('edit.close')}
          </button>
        </div>
      </form>
      <div ref={result} tabIndex={-1} class="looked">
        {looked && looked.changes.length === 0 && <p class="notice">{t('edit.same')}</p>}
        {looked && looked.changes.length > 0 && !current && <p class="notice">{t('edit.old')}</p>}
        {looked && current && (
          <form onSubmit={(event) => void save(event)}>
            <WouldChangePanel flag={key} {...looked} />
            <Reason needed value={reason} onInput={setReason} />
            <div class="row">
              <button type="submit" class="main" data-verb="save" aria-disabled={busy || reason.trim() === ''}>
                {busy ? t('ask.busy') : t('edit.save')}
              </button>
            </div>
          </form>
        )}
      </div>
    </div>
  );
}

const said = (fault: Fault): Problem => ({ path: fault.path, code: 'format', message: t(fault.key) });

async function compare(body: unknown): Promise<WouldChangeView> {
  const answer = await send('POST', '/api/v1/flag-set/who-would-change', body);
  return (await answer.json()) as WouldChangeView;
}
