import { useEffect, useRef } from 'preact/hooks';
import {
  type Draft,
  type OverrideDraft,
  type RuleDraft,
  moved,
  newOverride,
  newRule,
  offOf,
  variantsOf,
} from '../../core/flags/draft';
import { elsewhere, pointer } from '../../core/flags/pointer';
import { t } from '../../i18n/text';
import { announce } from '../../live/announce';
import type { FlagDefinition, FlagSet, Problem } from '../../live/flags';
import { Field, FieldProblems } from './field';
import { RuleFields } from './rule-fields';

interface Fields {
  draft: Draft;
  change: (draft: Draft) => void;
  flag: FlagDefinition;
  set: FlagSet | null;
  path: string;
  problems: readonly Problem[];
}

/** The settings of a flag in one environment, as fields. */
export function SettingsFields(all: Fields) {
  const { draft, change, flag, set, path, problems } = all;
  const own = flag.default ?? offOf(flag);
  const shown = ['default', 'users', 'tenants', 'rules'].map((name) => path + pointer(name));
  const rest = elsewhere(problems, [...shown, '#contexts']);
  return (
    <>
      {rest.length > 0 && (
        <div class="wrong" role="alert">
          <FieldProblems id="edit-elsewhere" problems={rest.map(withPath)} />
        </div>
      )}
      <fieldset>
        <legend>{t('edit.tenants')}</legend>
        <Overrides {...all} kind="tenants" known={Object.keys(set?.tenants ?? {})} />
      </fieldset>
      <fieldset>
        <legend>{t('edit.users')}</legend>
        <Overrides {...all} kind="users" known={[]} />
      </fieldset>
      <Rules {...all} />
      <Field label={t('edit.default')} path={path + pointer('default')} problems={problems}>
        {(wired) => (
          <Variants
            {...wired}
            flag={flag}
            value={draft.default}
            none={t('edit.ownDefault', { variant: own })}
            set={(variant) => change({ ...draft, default: variant })}
          />
        )}
      </Field>
    </>
  );
}

const withPath = (problem: Problem) => ({ ...problem, message: `${problem.path}: ${problem.message}` });

export function Variants({
  flag,
  value,
  none,
  set,
  ...wired
}: {
  flag: FlagDefinition;
  value: string;
  none?: string;
  set: (variant: string) => void;
  id?: string;
  'aria-label'?: string;
  'aria-invalid'?: boolean;
  'aria-describedby'?: string | undefined;
}) {
  const known = variantsOf(flag);
  const names = value === '' || known.includes(value) ? known : [...known, value];
  return (
    <select {...wired} value={value} onChange={(event) => set(event.currentTarget.value)}>
      {none !== undefined && <option value="">{none}</option>}
      {names.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

function Overrides({
  draft,
  change,
  flag,
  path,
  problems,
  kind,
  known,
}: Fields & { kind: 'users' | 'tenants'; known: readonly string[] }) {
  const list = draft[kind];
  const put = (next: OverrideDraft[]) => change({ ...draft, [kind]: next });
  const add = useRef<HTMLButtonElement>(null);
  const replace = (one: OverrideDraft) => put(list.map((old) => (old.id === one.id ? one : old)));
  return (
    <>
      {list.map((one, index) => (
        <div class="override" key={one.id} data-override={kind}>
          <Field
            label={t(kind === 'users' ? 'edit.user' : 'edit.tenant')}
            path={[path + pointer(kind, `#${index}`), path + pointer(kind, one.who)]}
            problems={problems}
          >
            {(wired) => (
              <>
                <input
                  {...wired}
                  value={one.who}
                  list={known.length > 0 ? `${wired.id}-known` : undefined}
                  autoComplete="off"
                  spellcheck={false}
                  onInput={(event) => replace({ ...one, who: event.currentTarget.value })}
                />
                {known.length > 0 && (
                  <datalist id={`${wired.id}-known`}>
                    {known.slice(0, 1000).map((name) => (
                      <option key={name} value={name} />
                    ))}
                  </datalist>
                )}
              </>
            )}
          </Field>
          <Field label={t('edit.gets')} path={[]} problems={problems}>
            {(wired) => (
              <Variants {...wired} flag={flag} value={one.variant} set={(variant) => replace({ ...one, variant })} />
            )}
          </Field>
          <button
            type="button"
            class="quiet"
            aria-label={t('edit.removeOne', { what: one.who || '–' })}
            onClick={() => {
              put(list.filter((old) => old.id !== one.id));
              add.current?.focus();
            }}
          >
            {t('edit.remove')}
          </button>
        </div>
      ))}
      <button ref={add} type="button" class="quiet" data-add={kind} onClick={() => put([...list, newOverride(flag)])}>
        {t(kind === 'users' ? 'edit.addUser' : 'edit.addTenant')}
      </button>
    </>
  );
}

function Rules({ draft, change, flag, set, path, problems }: Fields) {
  const list = useRef<HTMLOListElement>(null);
  const add = useRef<HTMLButtonElement>(null);
  const focus = useRef<number | null>(null);
  useEffect(() => {
    // A rule that was moved or made is where its person goes on.
    if (focus.current === null) return;
    list.current?.querySelector<HTMLElement>(`[data-rule-id="${focus.current}"]`)?.focus();
    focus.current = null;
  }, [draft.rules]);
  const put = (rules: RuleDraft[]) => change({ ...draft, rules });
  const place = path + pointer('rules');
  const of = problems.filter((one) => one.path === place);
  return (
    <fieldset>
      <legend>{t('edit.rules')}</legend>
      <p class="soft">{t('edit.rulesMore')}</p>
      <FieldProblems id="rules-wrong" problems={of} />
      <ol ref={list} class="rule-list">
        {draft.rules.map((rule, index) => (
          <li key={rule.id} tabIndex={-1} data-rule-id={rule.id} aria-label={t('edit.rule', { n: index + 1 })}>
            <RuleFields
              rule={rule}
              number={index + 1}
              last={index === draft.rules.length - 1}
              flag={flag}
              set={set}
              path={place + pointer(index)}
              problems={problems}
              change={(next) => put(draft.rules.map((old) => (old.id === next.id ? next : old)))}
              move={(by) => {
                focus.current = rule.id;
                put(moved(draft.rules, index, by));
                announce('say.moved', { n: String(index + 1 + by) });
              }}
              remove={() => {
                put(draft.rules.filter((old) => old.id !== rule.id));
                add.current?.focus();
              }}
            />
          </li>
        ))}
      </ol>
      <button
        ref={add}
        type="button"
        class="quiet"
        data-add="rule"
        onClick={() => {
          const rule = newRule(flag);
          focus.current = rule.id;
          put([...draft.rules, rule]);
        }}
      >
        {t('edit.addRule')}
      </button>
    </fieldset>
  );
}
