/** Asks before flags are changed: what will happen, to whom, and why. */

import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useState } from 'preact/hooks';
import { t } from '../../i18n/text';
import { type ApiError, UNREACHABLE, asApiError } from '../../live/api';
import { me } from '../../live/state';
import { useDialog } from '../dialog';

export interface Question {
  title: string;
  /** What will happen, in words. */
  effect: string;
  label: string;
  danger: boolean;
  /** An emergency waits for no words. */
  reason: 'needed' | 'optional';
  more?: ComponentChildren;
  run(reason: string): Promise<void>;
}

const asked = signal<Question | null>(null);

export function confirm(question: Question): void {
  asked.value = question;
}

export function ConfirmDialog() {
  const question = asked.value;
  const dialog = useDialog(question !== null);
  // Nothing that was asked on one page waits on another.
  useEffect(() => close, []);
  return (
    <dialog ref={dialog} class="ask" aria-labelledby="confirm-title" aria-describedby="confirm-effect" onClose={close}>
      {question && <Form key={question.title} question={question} />}
    </dialog>
  );
}

function close(): void {
  asked.value = null;
}

function Form({ question }: { question: Question }) {
  const [words, setWords] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const missing = question.reason === 'needed' && words.trim() === '';
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy || missing) return;
    setBusy(true);
    setError(null);
    try {
      await question.run(words.trim());
      close();
    } catch (wrong) {
      setError(asApiError(wrong));
      setBusy(false);
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      <h2 id="confirm-title">{question.title}</h2>
      <p id="confirm-effect">{question.effect}</p>
      {question.more}
      <Reason needed={question.reason === 'needed'} value={words} onInput={setWords} />
      {error && <Refusal error={error} />}
      <div class="row end">
        <button type="button" class="quiet" onClick={close}>
          {t('ask.cancel')}
        </button>
        <button
          type="submit"
          class={question.danger ? 'danger' : 'main'}
          aria-disabled={busy || missing}
          autoFocus={!missing}
        >
          {busy ? t('ask.busy') : question.label}
        </button>
      </div>
    </form>
  );
}

/** Why something is done, and under which name it will be recorded. */
export function Reason({
  needed,
  value,
  onInput,
}: {
  needed: boolean;
  value: string;
  onInput: (value: string) => void;
}) {
  const id = useId();
  return (
    <div class="words">
      <label for={id}>{t(needed ? 'ask.why' : 'ask.reason')}</label>
      <textarea
        id={id}
        rows={2}
        maxLength={1000}
        required={needed}
        value={value}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      <p class="soft">{t('ask.as', { who: me.value?.actor ?? '' })}</p>
    </div>
  );
}

/** What the server says against it. */
export function Refusal({ error }: { error: ApiError }) {
  const lost = error.status === UNREACHABLE;
  return (
    <p role="alert" class="wrong">
      <strong>{lost ? t('state.unreachable') : error.message}</strong> {lost ? t('flag.maybe') : error.help}
    </p>
  );
}
