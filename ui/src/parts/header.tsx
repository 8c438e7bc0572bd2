import { useState } from 'preact/hooks';
import { levelOf } from '../core/access';
import { t } from '../i18n/text';
import { logout } from '../live/session';
import { type Theme, lang, setLang, setTheme, theme } from '../live/settings';
import { link, me, unread } from '../live/state';
import { retryNow } from '../live/stream';
import { type Route, address, route } from '../router';
import { showHelp } from './help';
import { Mark } from './icons';

const NAV = [
  { to: { page: 'services' }, label: 'nav.services' },
  { to: { page: 'flags', environment: '' }, label: 'nav.flags' },
  { to: { page: 'history', service: '', outcome: '' }, label: 'nav.history' },
  { to: { page: 'delivery' }, label: 'nav.delivery' },
  { to: { page: 'inbox' }, label: 'nav.inbox' },
] as const satisfies readonly { to: Route; label: string }[];

export function Header() {
  const who = me.value;
  const [open, setOpen] = useState(false);
  return (
    <header class="top">
      <a class="brand" href="#/" aria-label={t('nav.home')}>
        <Mark />
        <span>esclusa</span>
      </a>
      {who && <Nav />}
      <div class="tools">
        {who && <LinkState />}
        <button type="button" class="quiet menu" aria-expanded={open} aria-controls="more" onClick={() => setOpen(!open)}>
          {t('nav.menu')}
        </button>
        <div id="more" class={open ? 'more open' : 'more'}>
          <Settings />
          {who && <Account />}
        </div>
      </div>
    </header>
  );
}

function Nav() {
  const at = route.value.page;
  const here = at === 'flag' || at === 'availability' ? 'flags' : at;
  return (
    <nav aria-label={t('nav.main')}>
      <ul>
        {NAV.map(({ to, label }) => (
          <li key={label}>
            <a href={address(to)} aria-current={here === to.page ? 'page' : undefined}>
              {t(label)}
              {to.page === 'inbox' && (unread.value ?? 0) > 0 && (
                <span class="count" data-test="unread">
                  {unread.value}
                  <span class="aloud"> {t('inbox.unread')}</span>
                </span>
              )}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function LinkState() {
  const now = link.value;
  const words = { live: t('link.live'), connecting: t('link.connecting'), lost: t('link.short') }[now.kind];
  return (
    <span class={`link ${now.kind}`} data-link={now.kind}>
      <span class="dot" aria-hidden="true" />
      {words}
      {now.kind === 'lost' && (
        <button type="button" class="quiet" onClick={retryNow}>
          {t('link.now')}
        </button>
      )}
    </span>
  );
}

function Settings() {
  const themes: { value: Theme; label: string }[] = [
    { value: 'auto', label: t('theme.auto') },
    { value: 'light', label: t('theme.light') },
    { value: 'dark', label: t('theme.dark') },
  ];
  return (
    <>
      <label class="pick">
        <span class="aloud">{t('theme.label')}</span>
        <select value={theme.value} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
          {themes.map((one) => (
            <option key={one.value} value={one.value}>
              {one.label}
            </option>
          ))}
        </select>
      </label>
      <label class="pick">
        <span class="aloud">{t('lang.label')}</span>
        <select value={lang.value} onChange={(event) => setLang(event.currentTarget.value === 'es' ? 'es' : 'en')}>
          <option value="en" lang="en">
            English
          </option>
          <option value="es" lang="es">
            Español
          </option>
        </select>
      </label>
      <button type="button" class="quiet" onClick={showHelp} aria-label={t('help.open')}>
        ?
      </button>
    </>
  );
}

function Account() {
  const who = me.value;
  const [failed, setFailed] = useState(false);
  if (!who) return null;
  const level = levelOf(who);
  const more = who.roles.filter((role) => role !== level && role !== '*');
  const roles = [level ?? '', ...more].filter(Boolean).join(', ');
  const out = () => void logout().catch(() => setFailed(true));
  return (
    <span class="who" data-test="who">
      <span>
        <strong>{who.actor}</strong> <small>{roles}</small>
      </span>
      {who.csrf != null && (
        <button type="button" class="quiet" onClick={out}>
          {t('login.out')}
        </button>
      )}
      {failed && <span role="alert">{t('login.outFailed')}</span>}
    </span>
  );
}
