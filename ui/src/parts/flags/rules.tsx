import { defaultOf, offOf } from '../../core/flags/draft';
import type { Turn } from '../../core/flags/list';
import { type Words, serves, whom } from '../../core/flags/words';
import { t } from '../../i18n/text';
import { lang } from '../../live/settings';
import type { FlagDefinition, Rule } from '../../live/flags';
import { address } from '../../router';
import { TurnedBy } from './badges';

const SHOWN = 20;

/** Who gets what, in the order of choice. */
export function Rules({
  flag,
  environment,
  turn,
  killed,
}: {
  flag: FlagDefinition;
  environment: string;
  turn: Turn | undefined;
  killed: boolean;
}) {
  const here = flag.environments?.[environment] ?? {};
  const first = [here.users, here.tenants, here.rules].every((one) => Object.keys(one ?? {}).length === 0) && !turn;
  const variant = defaultOf(flag, environment);
  return (
    <div class="ruled" data-test="rules">
      {(killed || here.state === 'disabled') && (
        <p class="notice">{t(killed ? 'rule.whileKilled' : 'rule.whileDisabled', { variant: offOf(flag) })}</p>
      )}
      <Overrides kind="users" map={here.users} environment={environment} />
      <Overrides kind="tenants" map={here.tenants} environment={environment} />
      {turn && (
        <p>
          {t('rule.release')} <TurnedBy turn={turn} />
        </p>
      )}
      <ol class="rules">
        {(here.rules ?? []).map((rule, index) => (
          <li key={index} data-rule={index + 1}>
            <RuleLine rule={rule} />
          </li>
        ))}
      </ol>
      <p data-rule="default">{t(first ? 'rule.all' : 'rule.else', { variant })}</p>
    </div>
  );
}

function RuleLine({ rule }: { rule: Rule }) {
  return (
    <>
      {rule.name && <b>{rule.name}: </b>}
      {whom(rule, lang.value).map((one, index) => (
        <span key={index}>
          {index > 0 && t('rule.and')} <Say words={one} />
        </span>
      ))}
      {' → '}
      <Say words={serves(rule, lang.value)} />
    </>
  );
}

export function Say({ words }: { words: Words }) {
  return <>{t(words.key, words.values)}</>;
}

function Overrides({
  kind,
  map,
  environment,
}: {
  kind: 'users' | 'tenants';
  map: Record<string, string> | undefined;
  environment: string;
}) {
  const all = Object.entries(map ?? {});
  if (all.length === 0) return null;
  return (
    <p data-overrides={kind}>
      {t(kind === 'users' ? 'rule.users' : 'rule.tenants')}{' '}
      {all.slice(0, SHOWN).map(([who, variant], index) => (
        <span key={who}>
          {index > 0 && ', '}
          {kind === 'tenants' ? (
            <a href={address({ page: 'availability', tenant: who, user: '', environment })}>{who}</a>
          ) : (
            <b>{who}</b>
          )}{' '}
          → {variant}
        </span>
      ))}
      {all.length > SHOWN && ` ${t('flag.more', { n: all.length - SHOWN })}`}
    </p>
  );
}
