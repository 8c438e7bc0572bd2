import { useEffect, useRef } from 'preact/hooks';
import { MOODS, t } from './i18n/text';
import { said } from './live/announce';
import { known, link, services, session } from './live/state';
import { Delivery } from './pages/delivery';
import { History } from './pages/history';
import { Inbox } from './pages/inbox';
import { Login } from './pages/login';
import { Release } from './pages/release';
import { Services } from './pages/services';
import { Unreachable } from './pages/unreachable';
import { AskDialog } from './parts/ask';
import { Header } from './parts/header';
import { HelpDialog, useShortcuts } from './parts/help';
import { AboutFlags } from './parts/later';
import { Loading } from './parts/states';
import { moodOf } from './core/gates';
import { route } from './router';

export function App() {
  useShortcuts();
  useTitle();
  const main = useRef<HTMLElement>(null);
  const now = session.value;
  const at = route.value;
  const first = useRef(true);
  useEffect(() => {
    // Whoever hears the page goes on where its new part begins.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [at]);
  const skip = (event: Event) => {
    event.preventDefault();
    main.current?.focus();
  };
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        {t('nav.skip')}
      </a>
      <Header />
      <LostBar />
      <main id="main" ref={main} tabIndex={-1}>
        {now.kind === 'asking' && <Loading />}
        {now.kind === 'unreachable' && <Unreachable sinceMs={now.sinceMs} />}
        {now.kind === 'out' && <Login error={now.error} />}
        {now.kind === 'in' && <Page />}
      </main>
      <AskDialog />
      <HelpDialog />
      <div class="aloud" role="log" aria-live="polite" aria-relevant="additions" aria-label={t('nav.changes')}>
        {said.value.map((one) => (
          <p key={one.id}>{one.words}</p>
        ))}
      </div>
    </>
  );
}

function Page() {
  const at = route.value;
  switch (at.page) {
    case 'release':
      return <Release key={at.id} id={at.id} />;
    case 'history':
      return <History service={at.service} outcome={at.outcome} />;
    case 'delivery':
      return <Delivery />;
    case 'inbox':
      return <Inbox />;
    case 'flags':
      return <AboutFlags show={({ Flags }) => <Flags environment={at.environment} />} />;
    case 'flag':
      return <AboutFlags show={({ Flag }) => <Flag key={at.flag} flag={at.flag} environment={at.environment} />} />;
    case 'availability':
      return (
        <AboutFlags
          show={({ Availability }) => (
            <Availability tenant={at.tenant} user={at.user} environment={at.environment} />
          )}
        />
      );
    default:
      return <Services />;
  }
}

/** Says above everything that what is shown may be old. */
function LostBar() {
  const now = link.value;
  if (session.value.kind !== 'in' || now.kind !== 'lost' || !known.value) return null;
  return (
    <div class="lost" data-test="lost">
      <strong>{t('link.lost')}</strong> <span>{t('link.lostMore')}</span>
    </div>
  );
}

/** The tab says how things stand, also when another one is in front. */
function useTitle() {
  const at = route.value;
  const all = [...services.value.values()];
  const one = at.page === 'release' ? all.find((service) => service.release?.release === at.id) : undefined;
  let title = 'esclusa';
  if (one?.release) {
    title = `${t(MOODS[moodOf(one.release)])} · ${one.service} ${one.release.version} · esclusa`;
  } else if (at.page === 'flag') {
    title = `${at.flag} · esclusa`;
  } else if (at.page === 'availability' && at.tenant !== '') {
    title = `${t('avail.of', { tenant: at.tenant })} · esclusa`;
  } else if (at.page !== 'services') {
    title = `${t(PAGE_TITLES[at.page])} · esclusa`;
  }
  useEffect(() => {
    document.title = title;
  }, [title]);
}

const PAGE_TITLES = {
  release: 'release.title',
  history: 'nav.history',
  delivery: 'nav.delivery',
  inbox: 'nav.inbox',
  flags: 'nav.flags',
  availability: 'avail.title',
} as const;
