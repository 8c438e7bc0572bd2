import { useRef, useState } from 'preact/hooks';
import { t } from '../i18n/text';
import { ApiError, UNREACHABLE } from '../live/api';
import { login } from '../live/session';
import { Mark } from '../parts/icons';

export function Login({ error }: { error: ApiError | null }) {
  const [failure, setFailure] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    const token = field.current?.value.trim() ?? '';
    if (token === '' || busy) return void field.current?.focus();
    setBusy(true);
    setFailure(null);
    try {
      await login(token);
    } catch (wrong) {
      setFailure(wrong instanceof ApiError ? wrong : new ApiError(UNREACHABLE, '', String(wrong), '', null));
      setBusy(false);
      field.current?.select();
    }
  };
  return (
    <div class="gatehouse">
      <form class="card login" onSubmit={(event) => void submit(event)}>
        <Mark />
        <h1>{t('login.title')}</h1>
        {error && !failure && <p class="notice">{t('login.over')}</p>}
        <label for="token">{t('login.token')}</label>
        <input
          id="token"
          ref={field}
          type="password"
          autoComplete="current-password"
          spellcheck={false}
          required
          autoFocus
          aria-describedby="login-hint"
          aria-invalid={failure?.status === 401}
        />
        {failure && (
          <p role="alert" class="wrong" data-test="login-error">
            {words(failure)}
          </p>
        )}
        <button type="submit" class="main" aria-disabled={busy}>
          {busy ? t('login.busy') : t('login.in')}
        </button>
        <div id="login-hint" class="soft">
          <p>{t('login.hint')}</p>
          <p>
            <code>esclusa token create NAME --role viewer</code>
          </p>
        </div>
      </form>
    </div>
  );
}

function words(failure: ApiError): string {
  switch (failure.status) {
    case UNREACHABLE:
      return t('login.unreachable');
    case 401:
      return t('login.wrong');
    case 429:
      return t('login.limited', { seconds: failure.retryAfterS ?? 60 });
    default:
      return [failure.message, failure.help].filter(Boolean).join('. ');
  }
}
