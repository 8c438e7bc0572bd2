import { lineChanges, place, rulesOf, written } from '../../core/flags/change';
import { serves, whom } from '../../core/flags/words';
import { t } from '../../i18n/text';
import type { Change, Rule } from '../../live/flags';
import { lang } from '../../live/settings';

const SHOWN = 30;

/** Fields with what they were and what they are. */
export function Changes({ changes, flag }: { changes: readonly Change[]; flag: string | null }) {
  return (
    <ul class="changes">
      {changes.slice(0, SHOWN).map((one) => (
        <li key={one.path}>
          <span class="soft">{place(one.path, flag) || t('change.whole')}</span>
          <Difference change={one} />
        </li>
      ))}
      {changes.length > SHOWN && <li>{t('flag.more', { n: changes.length - SHOWN })}</li>}
    </ul>
  );
}

function Difference({ change }: { change: Change }) {
  const rules = rulesOf(change);
  const lines = rules && lineChanges(rules.before.map(line), rules.after.map(line));
  const gone = lines ? lines.gone : [written(change.before) ?? t('change.nothing')];
  const come = lines ? lines.come : [written(change.after) ?? t('change.nothing')];
  return (
    <>
      {gone.map((one, index) => (
        <span key={index}>
          <span class="aloud"> {t('change.was')} </span>
          <del>{one}</del>
        </span>
      ))}
      {come.map((one, index) => (
        <span key={index}>
          <span class="aloud"> {t('change.is')} </span>
          <ins>{one}</ins>
        </span>
      ))}
    </>
  );
}

/** A rule in one line. */
function line(rule: Rule): string {
  const who = whom(rule, lang.value).map((one) => t(one.key, one.values));
  const what = serves(rule, lang.value);
  const name = rule.name ? `${rule.name}: ` : '';
  return `${name}${who.join(t('rule.and'))} → ${t(what.key, what.values)}`;
}
