import { span } from '../core/format';
import { t } from '../i18n/text';
import { now } from '../live/state';
import { isRunning } from '../core/traffic';
import type { ServiceView } from '../live/types';
import { Icon } from './icons';
import { Raw } from './states';

/** Can I go back right now? */
export function ReturnAnswer({ service }: { service: ServiceView }) {
  const running = isRunning(service.release);
  const yes = service.can_return || (running && service.stable != null);
  const to = running ? service.stable?.name : service.warm?.version.name;
  const left = service.warm ? service.warm.until_us / 1e6 - now.value / 1000 : null;
  return (
    <div class={yes ? 'return yes' : 'return no'} data-return={yes ? 'yes' : 'no'}>
      <p class="question">{t('return.question')}</p>
      <p>
        <Icon shape={yes ? 'passed' : 'fail'} />
        <strong>{t(yes ? 'return.yes' : 'return.no')}</strong>{' '}
        {yes && to && t(running ? 'return.byAbort' : 'return.to', { version: to })}
        {!yes && service.cannot_return_because && <Raw>{service.cannot_return_because}</Raw>}
      </p>
      {yes && !running && left !== null && left > 0 && (
        <p class="soft">{t('return.until', { time: span(left) })}</p>
      )}
    </div>
  );
}
