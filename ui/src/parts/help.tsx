import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { actionsOf } from '../core/actions';
import { t } from '../i18n/text';
import { setShortcuts, setTheme, isDark, shortcuts } from '../live/settings';
import { me, services } from '../live/state';
import { go, route } from '../router';
import { ask } from './ask';
import { useDialog } from './dialog';
import fontLicence from '../style/plex-licence.txt?url';

const open = signal(false);

export function showHelp(): void {
  open.value = true;
}

const KEYS = [
  ['g s', 'keys.services'],
  ['g f', 'nav.flags'],
  ['g h', 'keys.history'],
  ['g d', 'keys.delivery'],
  ['g i', 'keys.inbox'],
  ['a', 'keys.abort'],
  ['p', 'keys.pause'],
  ['t', 'keys.theme'],
  ['?', 'keys.help'],
] as const;

export function HelpDialog() {
  const shown = open.value;
  const dialog = useDialog(shown);
  const close = () => {
    open.value = false;
  };
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={close}>
      {shown && (
        <>
          <h2 id="help-title">{t('help.title')}</h2>
          <p>{t('help.text')}</p>
          <dl class="keys">
            {KEYS.map(([keys, label]) => (
              <div key={keys}>
                <dt>
                  {keys.split(' ').map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </dt>
                <dd>{t(label)}</dd>
              </div>
            ))}
          </dl>
          <label class="check">
            <input
              type="checkbox"
              checked={shortcuts.value}
              onChange={(event) => setShortcuts(event.currentTarget.checked)}
            />
            {t('help.switch')}
          </label>
          <p class="soft">
            <a href={fontLicence}>{t('help.font')}</a>
          </p>
          <form method="dialog">
            <button type="submit">{t('help.close')}</button>
          </form>
        </>
      )}
    </dialog>
  );
}

/** Single keys, unless somebody writes, a dialog is open, or they were turned off. */
export function useShortcuts() {
  useEffect(() => {
    let before = '';
    const press = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement | null;
      const writes = at?.closest('input, textarea, select, [contenteditable]');
      if (writes || event.ctrlKey || event.metaKey || event.altKey) return;
      if (!shortcuts.value || document.querySelector('dialog[open]') || me.value === null) return;
      const keys = before + event.key;
      before = event.key === 'g' ? 'g' : '';
      if (act(keys)) event.preventDefault();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, []);
}

function act(keys: string): boolean {
  switch (keys) {
    case 'gs':
      go({ page: 'services' });
      return true;
    case 'gf':
      go({ page: 'flags', environment: '' });
      return true;
    case 'gh':
      go({ page: 'history', service: '', outcome: '' });
      return true;
    case 'gd':
      go({ page: 'delivery' });
      return true;
    case 'gi':
      go({ page: 'inbox' });
      return true;
    case 'a':
      return askOf('abort', 'rollback');
    case 'p':
      return askOf('pause', 'resume');
    case 't':
      setTheme(isDark() ? 'light' : 'dark');
      return true;
    case '?':
      showHelp();
      return true;
    default:
      return false;
  }
}

/** On the page of a release, or where only one is under way, asks for it. */
function askOf(...verbs: string[]): boolean {
  const who = me.value;
  const at = route.value;
  const all = [...services.value.values()].filter((one) => one.release);
  const running = all.filter((one) => one.release && one.release.outcome == null);
  const chosen = at.page === 'release' ? all.find((one) => one.release?.release === at.id) : running[0];
  if (!who || !chosen?.release || (at.page !== 'release' && running.length !== 1)) return false;
  const found = actionsOf(chosen.release, chosen, who).find((one) => verbs.includes(one.verb) && !one.no);
  if (!found) return false;
  ask(found, chosen.release, chosen);
  return true;
}
