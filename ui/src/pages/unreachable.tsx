import { clock } from '../core/format';
import { t } from '../i18n/text';
import { lang } from '../live/settings';
import { now } from '../live/state';
import { Icon } from '../parts/icons';

/** The server does not answer: what that means, and what still works. */
export function Unreachable({ sinceMs }: { sinceMs: number }) {
  return (
    <div class="gatehouse">
      <section class="card unreachable" role="alert">
        <h1>
          <Icon shape="unknown" />
          {t('down.title')}
        </h1>
        <p>{t('down.since', { time: clock(sinceMs * 1000, now.value, lang.value) })}</p>
        <p>{t('down.users')}</p>
        <p>{t('down.next')}</p>
        <p>
          <code>esclusa release status</code>
        </p>
        <p class="soft">{t('down.again')}</p>
      </section>
    </div>
  );
}
