/** Asks before anything is done: what will happen, under which name, and why. */

import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { type Action, request } from '../core/actions';
import { shareWords } from '../core/format';
import { t } from '../i18n/text';
import { announce } from '../live/announce';
import { ApiError, UNREACHABLE, send } from '../live/api';
import { me } from '../live/state';
import type { ReleaseView, ServiceView } from '../live/types';
import { useDialog } from './dialog';
import { Raw } from './states';

interface Asked {
  action: Action;
  release: ReleaseView;
  service: ServiceView | null;
}

const asked = signal<Asked | null>(null);

export function ask(action: Action, release: ReleaseView, service: ServiceView | null): void {
  asked.value = { action, release, service };
}

export function AskDialog() {
  const what = asked.value;
  const dialog = useDialog(what !== null);
  const close = () => {
    asked.value = null;
  };
  return (
    <dialog ref={dialog} class="ask" aria-labelledby="ask-title" aria-describedby="ask-effect" onClose={close}>
      {what && <Form key={what.action.verb + (what.action.role ?? '')} {...what} close={close} />}
    </dialog>
  );
}

function Form({ action, release, service, close }: Asked & { close: () => void }) {
  const [words, setWords] = useState('');
  const [done, setDone] = useState<ReadonlySet<string>>(new Set());
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const items = action.verb === 'sign-off' ? itemsOf(release, action.role) : [];
  const missing = items.filter((item) => !done.has(item));
  const label = t(action.label, { role: action.role ?? '' });
  const values = {
    version: release.version,
    stable: (service?.warm?.version ?? release.stable)?.name ?? t('ask.before'),
    share: shareWords(release.share),
    role: action.role ?? '',
    service: release.service,
  };
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy || missing.length > 0) return;
    setBusy(true);
    setError(null);
    const { path, body } = request(action, release, words.trim(), items.map((item) => ({ item, note: '' })));
    try {
      await send('POST', path, body);
      announce('say.asked', { what: label });
      close();
    } catch (failure) {
      setError(failure instanceof ApiError ? failure : new ApiError(UNREACHABLE, '', String(failure), '', null));
      setBusy(false);
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      <h2 id="ask-title">{t('ask.title', { what: label, service: release.service, version: release.version })}</h2>
      <p id="ask-effect">{t(action.effect, values)}</p>
      {items.length > 0 && (
        <fieldset>
          <legend>{t('ask.items')}</legend>
          {items.map((item) => (
            <label class="check" key={item}>
              <input
                type="checkbox"
                checked={done.has(item)}
                onChange={(event) => setDone(toggled(done, item, event.currentTarget.checked))}
              />
              <Raw>{item}</Raw>
            </label>
          ))}
        </fieldset>
      )}
      <label class="words">
        {t('ask.reason')}
        <textarea
          rows={2}
          maxLength={1000}
          value={words}
          onInput={(event) => setWords(event.currentTarget.value)}
        />
      </label>
      <p class="soft">{t('ask.as', { who: me.value?.actor ?? '' })}</p>
      {error && (
        <p role="alert" class="wrong">
          <strong>{error.status === UNREACHABLE ? t('state.unreachable') : error.message}</strong>{' '}
          {error.status === UNREACHABLE ? t('ask.maybe') : error.help}
        </p>
      )}
      <div class="row end">
        <button type="button" class="quiet" onClick={close}>
          {t('ask.cancel')}
        </button>
        <button
          type="submit"
          class={action.danger ? 'danger' : 'main'}
          aria-disabled={busy || missing.length > 0}
          autoFocus
        >
          {busy ? t('ask.busy') : label}
        </button>
      </div>
    </form>
  );
}

function itemsOf(release: ReleaseView, role: string | undefined): string[] {
  const one = release.sign_offs.find((sign) => sign.role === role);
  return one?.items.map((item) => item.item) ?? [];
}

function toggled(done: ReadonlySet<string>, item: string, on: boolean): ReadonlySet<string> {
  const next = new Set(done);
  if (on) next.add(item);
  else next.delete(item);
  return next;
}
