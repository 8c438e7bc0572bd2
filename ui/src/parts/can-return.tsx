import { moodOf } from '../core/gates';
import { span } from '../core/format';
import { isRunning } from '../core/traffic';
import { t } from '../i18n/text';
import { now } from '../live/state';
import type { ServiceView } from '../live/types';
import { Icon } from './icons';
import { Raw } from './states';

type Answer = 'abort' | 'warm' | 'already' | 'no';

function answer(service: ServiceView): Answer {
  const release = service.release;
  if (isRunning(release) && service.stable) return 'abort';
  if (service.can_return) return 'warm';
  const mood = release ? moodOf(release) : null;
  return service.stable && (mood === 'back' || mood === 'refused') ? 'already' : 'no';
}

/** Can I go back right now? */
export function ReturnAnswer({ service }: { service: ServiceView }) {
  const found = answer(service);
  const left = service.warm ? service.warm.until_us / 1e6 - now.value / 1000 : null;
  const stable = service.stable?.name ?? '';
  return (
    <div class={found === 'no' ? 'return no' : 'return yes'} data-return={found}>
      <p class="question">{t('return.question')}</p>
      <p>
        <Icon shape={found === 'no' ? 'fail' : 'passed'} />
        {found === 'abort' && (
          <>
            <strong>{t('return.yes')}</strong> {t('return.byAbort', { version: stable })}
          </>
        )}
        {found === 'warm' && (
          <>
            <strong>{t('return.yes')}</strong> {t('return.to', { version: service.warm?.version.name ?? '' })}
          </>
        )}
        {found === 'already' && t('return.already', { version: stable })}
        {found === 'no' && (
          <>
            <strong>{t('return.no')}</strong> <Raw>{service.cannot_return_because ?? ''}</Raw>
          </>
        )}
      </p>
      {found === 'warm' && left !== null && left > 0 && (
        <p class="soft">{t('return.until', { time: span(left) })}</p>
      )}
    </div>
  );
}
