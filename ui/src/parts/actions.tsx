import { type Action, actionsOf } from '../core/actions';
import { t } from '../i18n/text';
import { me } from '../live/state';
import type { ReleaseView, ServiceView } from '../live/types';
import { ask } from './ask';

/** What can be asked of the release; what cannot says why. */
export function Actions({ release, service }: { release: ReleaseView; service: ServiceView | null }) {
  const who = me.value;
  const actions = who ? actionsOf(release, service, who) : [];
  if (actions.length === 0) return null;
  const refused = actions.filter((one) => one.no);
  const reasons = [...new Set(refused.map((one) => (one.no ? t(one.no.key, one.no.values) : '')))];
  return (
    <>
      <section class="actions buttons" aria-label={t('act.label')}>
        {actions.map((one) => (
          <ActionButton key={one.verb + (one.role ?? '')} action={one} release={release} service={service} />
        ))}
      </section>
      {reasons.length > 0 && (
        <ul class="refused">
          {reasons.map((reason) => (
            <li key={reason}>
              {refused
                .filter((one) => one.no && t(one.no.key, one.no.values) === reason)
                .map((one) => t(one.label, { role: one.role ?? '' }))
                .join(', ')}
              : {reason}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function ActionButton({
  action,
  release,
  service,
}: {
  action: Action;
  release: ReleaseView;
  service: ServiceView | null;
}) {
  const why = action.no ? t(action.no.key, action.no.values) : undefined;
  const id = `no-${action.verb}-${action.role ?? ''}`;
  const kind = action.danger ? 'danger' : action.verb === 'sign-off' ? 'main' : 'plain';
  return (
    <>
      <button
        type="button"
        class={kind}
        data-verb={action.verb}
        aria-disabled={why !== undefined}
        aria-describedby={why === undefined ? undefined : id}
        title={why}
        onClick={() => why === undefined && ask(action, release, service)}
      >
        {t(action.label, { role: action.role ?? '' })}
      </button>
      {why !== undefined && (
        <span id={id} class="aloud">
          {why}
        </span>
      )}
    </>
  );
}
