import { asksAboutUsers } from '../../core/flags/words';
import { count, percent } from '../../core/format';
import { t } from '../../i18n/text';
import { useLoad } from '../../live/load';
import { lang } from '../../live/settings';
import type { FlagDefinition, FlagSet } from '../../live/flags';
import type { WhoView } from '../../live/types';
import { address } from '../../router';
import { Failed, Loading } from '../states';

const EVERY_MS = 10_000;
const SHOWN = 50;

/** Which tenants of the directory get which variant right now. */
export function Who({
  name,
  flag,
  environment,
  set,
  nudge,
}: {
  name: string;
  flag: FlagDefinition;
  environment: string;
  set: FlagSet | null;
  nudge: unknown;
}) {
  const query = environment ? `?environment=${encodeURIComponent(environment)}` : '';
  const path = `/api/v1/flags/${encodeURIComponent(name)}/who${query}`;
  const { data, error, again } = useLoad<WhoView>(path, EVERY_MS, nudge);
  if (error && !data) return <Failed error={error} again={again} />;
  if (!data) return <Loading />;
  const all = data.variants.reduce((sum, one) => sum + one.tenants.length, 0);
  const ofTenants = Object.entries(set?.attributes ?? {}).filter(([, one]) => one.source === 'tenant');
  const open = asksAboutUsers(flag.environments?.[environment] ?? {}, new Set(ofTenants.map(([key]) => key)));
  return (
    <>
      {all === 0 && <p class="soft">{t('who.noTenants')}</p>}
      <ul class="who-gets" data-test="who">
        {data.variants.map((one) => (
          <li key={one.variant} data-variant={one.variant}>
            <p>
              <b>{one.variant}</b>{' '}
              {t('who.tenants', {
                n: count(one.tenants.length, lang.value),
                all: count(all, lang.value),
                share: percent(one.tenants.length / all, lang.value),
              })}
            </p>
            <progress
              max={all}
              value={one.tenants.length}
              aria-label={t('who.bar', { variant: one.variant })}
            />
            <details>
              <summary>{t('who.names', { variant: one.variant })}</summary>
              <p>
                {one.tenants.slice(0, SHOWN).map((tenant, index) => (
                  <span key={tenant}>
                    {index > 0 && ', '}
                    <a href={address({ page: 'availability', tenant, user: '', environment })}>{tenant}</a>
                  </span>
                ))}
                {one.tenants.length > SHOWN && ` ${t('flag.more', { n: one.tenants.length - SHOWN })}`}
              </p>
            </details>
          </li>
        ))}
      </ul>
      {open && <p class="notice">{t('who.users')}</p>}
    </>
  );
}
