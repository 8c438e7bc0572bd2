import { useState } from 'preact/hooks';
import { t } from '../i18n/text';
import { announce } from '../live/announce';
import { ApiError, UNREACHABLE, send } from '../live/api';
import { useLoad } from '../live/load';
import { lang } from '../live/settings';
import { unread } from '../live/state';
import type { InboxEntry, InboxView } from '../live/types';
import { Icon, type Shape } from '../parts/icons';
import { Empty, Failed, Loading, Time } from '../parts/states';
import { address } from '../router';

const EVERY_MS = 10_000;
const SEVERITY = {
  info: { key: 'inbox.info', shape: 'closed' },
  warning: { key: 'inbox.warning', shape: 'hold' },
  critical: { key: 'inbox.critical', shape: 'fail' },
} as const satisfies Record<string, { key: string; shape: Shape }>;

export function Inbox() {
  const [only, setOnly] = useState(false);
  const [failure, setFailure] = useState<ApiError | null>(null);
  const path = `/api/v1/inbox?limit=200&lang=${lang.value}${only ? '&unread=true' : ''}`;
  const { data, error, again } = useLoad<InboxView>(path, EVERY_MS);
  if (data && unread.value !== data.unread) unread.value = data.unread;
  const change = (method: 'POST' | 'DELETE', to: string, say: 'say.read' | 'say.deleted') => {
    setFailure(null);
    send(method, to)
      .then(() => {
        announce(say);
        again();
      })
      .catch((wrong: unknown) => {
        setFailure(wrong instanceof ApiError ? wrong : new ApiError(UNREACHABLE, '', String(wrong), '', null));
      });
  };
  return (
    <>
      <div class="head">
        <h1>{t('nav.inbox')}</h1>
        <div class="row filters">
          <label class="check">
            <input type="checkbox" checked={only} onChange={(event) => setOnly(event.currentTarget.checked)} />
            {t('inbox.only')}
          </label>
          <button
            type="button"
            aria-disabled={(data?.unread ?? 0) === 0}
            onClick={() => (data?.unread ?? 0) > 0 && change('POST', '/api/v1/inbox/read', 'say.read')}
          >
            {t('inbox.readAll')}
          </button>
        </div>
      </div>
      <p class="soft" data-test="inbox-unread">
        {t('inbox.count', { n: data?.unread ?? '–' })}
      </p>
      {failure && <Failed error={failure} />}
      {error && <Failed error={error} again={again} />}
      {!data && !error && <Loading />}
      {data?.entries.length === 0 && (
        <Empty title={t(only ? 'inbox.noneUnread' : 'inbox.none')}>
          <p>{t('inbox.noneMore')}</p>
        </Empty>
      )}
      {data && data.entries.length > 0 && (
        <ol class="card letters">
          {data.entries.map((entry) => (
            <Letter
              key={entry.id}
              entry={entry}
              read={() => change('POST', `/api/v1/inbox/${entry.id}/read`, 'say.read')}
              remove={() => change('DELETE', `/api/v1/inbox/${entry.id}`, 'say.deleted')}
            />
          ))}
        </ol>
      )}
    </>
  );
}

function Letter({ entry, read, remove }: { entry: InboxEntry; read: () => void; remove: () => void }) {
  const severity = SEVERITY[entry.severity as keyof typeof SEVERITY] ?? SEVERITY.info;
  return (
    <li class={entry.read ? 'letter' : 'letter unread'} data-entry={entry.id} data-read={entry.read}>
      <span class={`severity is-${entry.severity}`}>
        <Icon shape={severity.shape} />
        {t(severity.key)}
      </span>
      <div>
        <h2>
          {!entry.read && <span class="new">{t('inbox.new')}</span>} {entry.title}
        </h2>
        <p>{entry.text}</p>
        <p class="soft">
          <Time us={entry.at_us} />
          {entry.service && ` · ${entry.service}`}
          {entry.count > 1 && ` · ${t('inbox.times', { n: entry.count })}`}
          {entry.release && (
            <>
              {' · '}
              <a href={address({ page: 'release', id: entry.release })}>{t('inbox.open')}</a>
            </>
          )}
        </p>
      </div>
      <div class="row">
        {!entry.read && (
          <button type="button" class="quiet" onClick={read} aria-label={t('inbox.readOne', { title: entry.title })}>
            {t('inbox.read')}
          </button>
        )}
        <button type="button" class="quiet" onClick={remove} aria-label={t('inbox.deleteOne', { title: entry.title })}>
          {t('inbox.delete')}
        </button>
      </div>
    </li>
  );
}
