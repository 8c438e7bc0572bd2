import { millis } from '../core/format';
import { t } from '../i18n/text';
import { lang } from '../live/settings';
import type { InstanceView, ReleaseView, ServiceView, TaskView } from '../live/types';
import { Icon, type Shape } from './icons';
import { Empty, Raw } from './states';

type Health = 'pass' | 'fail' | 'unknown' | 'busy';

const HEALTH = {
  pass: { key: 'health.pass', shape: 'passed' },
  fail: { key: 'health.fail', shape: 'fail' },
  unknown: { key: 'health.unknown', shape: 'unknown' },
  busy: { key: 'health.busy', shape: 'clock' },
} as const satisfies Record<Health, { key: string; shape: Shape }>;

export function healthOfTask(task: TaskView): Health {
  if (task.result == null) return 'busy';
  if (task.done) return 'pass';
  return task.result.startsWith('unknown') || task.result === 'was cancelled' ? 'unknown' : 'fail';
}

export function healthOfInstance(instance: InstanceView): Health {
  switch (instance.state) {
    case 'up':
      return 'pass';
    case 'down':
      return 'fail';
    case 'starting':
      return 'busy';
    default:
      return 'unknown';
  }
}

const ROLES = { stable: 'side.stable', canary: 'side.canary', warm: 'side.warm' } as const;

/** Checks and instances: pass, fail, or not known, which is neither. */
export function HealthPanel({ release, service }: { release: ReleaseView; service: ServiceView | null }) {
  const instances = service?.instances ?? [];
  if (release.tasks.length === 0 && instances.length === 0) return <Empty title={t('health.none')} />;
  return (
    <>
      {instances.length > 0 && (
        <ul class="health" aria-label={t('health.instances')}>
          {instances.map((one) => (
            <li key={one.instance} data-health={healthOfInstance(one)}>
              <Word health={healthOfInstance(one)} />
              <span>
                <b>{one.version}</b>{' '}
                {one.role in ROLES ? t(ROLES[one.role as keyof typeof ROLES]) : one.role}{' '}
                <small class="soft">
                  <Raw>
                    {one.instance} · {one.state}
                  </Raw>
                </small>
                {one.restarts > 0 && <small> · {t('health.restarts', { n: one.restarts })}</small>}
                {one.last_end && (
                  <small class="detail">
                    <Raw>{one.last_end}</Raw>
                  </small>
                )}
              </span>
            </li>
          ))}
        </ul>
      )}
      {release.tasks.length > 0 && (
        <ul class="health" aria-label={t('health.tasks')}>
          {release.tasks.map((task) => (
            <li key={task.task} data-health={healthOfTask(task)}>
              <Word health={healthOfTask(task)} />
              <span>
                <Raw>{task.title}</Raw>
                {task.attempt > 1 && <small> · {t('health.attempt', { n: task.attempt })}</small>}
                {task.took_ms != null && <small class="soft"> · {millis(task.took_ms, lang.value)}</small>}
                {task.result && (
                  <small class="detail">
                    <Raw>{task.result}</Raw>
                  </small>
                )}
              </span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function Word({ health }: { health: Health }) {
  return (
    <span class={`health-word is-${health}`}>
      <Icon shape={HEALTH[health].shape} />
      {t(HEALTH[health].key)}
    </span>
  );
}
