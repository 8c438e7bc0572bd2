import { useId } from 'preact/hooks';
import type { RuleDraft } from '../../core/flags/draft';
import { pointer } from '../../core/flags/pointer';
import { TARGETING_KEY } from '../../core/flags/words';
import { t } from '../../i18n/text';
import type { FlagDefinition, FlagSet, Problem } from '../../live/flags';
import { Field, FieldProblems, type Wired } from './field';
import { Variants } from './settings-fields';

interface Props {
  rule: RuleDraft;
  number: number;
  last: boolean;
  flag: FlagDefinition;
  set: FlagSet | null;
  path: string;
  problems: readonly Problem[];
  change: (rule: RuleDraft) => void;
  move: (by: -1 | 1) => void;
  remove: () => void;
}

/** One rule: whom it means, and what it serves them. */
export function RuleFields({ rule, number, last, flag, set, path, problems, change, move, remove }: Props) {
  const own = problems.filter((one) => one.path === path);
  const units = [TARGETING_KEY, 'tenant', 'user', ...Object.keys(set?.attributes ?? {})];
  return (
    <fieldset class="rule" data-edit-rule={number}>
      <legend>{t('edit.rule', { n: number })}</legend>
      <FieldProblems id={`rule-${rule.id}-wrong`} problems={own} />
      <div class="fields">
        <Field label={t('edit.name')} path={path + pointer('name')} problems={problems}>
          {(wired) => <Input wired={wired} value={rule.name} set={(name) => change({ ...rule, name })} />}
        </Field>
        <Field label={t('edit.segment')} path={path + pointer('segment')} problems={problems}>
          {(wired) => (
            <Input
              wired={wired}
              value={rule.segment}
              list={Object.keys(set?.segments ?? {})}
              set={(segment) => change({ ...rule, segment })}
            />
          )}
        </Field>
        <Field label={t('edit.when')} wide path={path + pointer('when')} problems={problems}>
          {(wired) => <Input wired={wired} value={rule.when} set={(when) => change({ ...rule, when })} />}
        </Field>
        <Field label={t('edit.share')} path={path + pointer('share')} problems={problems}>
          {(wired) => <Input wired={wired} value={rule.share} set={(share) => change({ ...rule, share })} />}
        </Field>
        <Field
          label={t('edit.unit')}
          path={[path + pointer('share', 'of'), path + pointer('distribution', 'of')]}
          problems={problems}
        >
          {(wired) => (
            <Input wired={wired} value={rule.of} list={units} set={(of) => change({ ...rule, of })} />
          )}
        </Field>
        <Served rule={rule} flag={flag} path={path} problems={problems} change={change} />
      </div>
      <div class="row">
        <button
          type="button"
          class="quiet"
          aria-disabled={number === 1}
          aria-label={t('edit.upOne', { n: number })}
          onClick={() => number > 1 && move(-1)}
        >
          {t('edit.up')}
        </button>
        <button
          type="button"
          class="quiet"
          aria-disabled={last}
          aria-label={t('edit.downOne', { n: number })}
          onClick={() => !last && move(1)}
        >
          {t('edit.down')}
        </button>
        <button
          type="button"
          class="quiet"
          aria-label={t('edit.removeOne', { what: t('edit.rule', { n: number }) })}
          onClick={remove}
        >
          {t('edit.remove')}
        </button>
      </div>
    </fieldset>
  );
}

function Served({ rule, flag, path, problems, change }: Pick<Props, 'rule' | 'flag' | 'path' | 'problems' | 'change'>) {
  const place = path + pointer('distribution', 'weights');
  return (
    <>
      <Field label={t('edit.serves')} path={[]} problems={problems}>
        {(wired) => (
          <select
            {...wired}
            value={rule.serves}
            onChange={(event) =>
              change({ ...rule, serves: event.currentTarget.value === 'distribution' ? 'distribution' : 'variant' })
            }
          >
            <option value="variant">{t('edit.oneVariant')}</option>
            <option value="distribution">{t('edit.several')}</option>
          </select>
        )}
      </Field>
      {rule.serves === 'variant' ? (
        <Field label={t('edit.variant')} path={path + pointer('variant')} problems={problems}>
          {(wired) => (
            <Variants {...wired} flag={flag} value={rule.variant} set={(variant) => change({ ...rule, variant })} />
          )}
        </Field>
      ) : (
        rule.weights.map((one, index) => (
          <Field
            key={one.variant}
            label={t('edit.weight', { variant: one.variant })}
            path={index === 0 ? place : []}
            problems={problems}
          >
            {(wired) => (
              <Input
                wired={wired}
                value={one.percent}
                set={(percent) =>
                  change({
                    ...rule,
                    weights: rule.weights.map((old) => (old === one ? { ...old, percent } : old)),
                  })
                }
              />
            )}
          </Field>
        ))
      )}
    </>
  );
}

function Input({
  wired,
  value,
  set,
  list,
}: {
  wired: Wired;
  value: string;
  set: (value: string) => void;
  list?: readonly string[];
}) {
  const id = useId();
  const known = list !== undefined && list.length > 0;
  return (
    <>
      <input
        {...wired}
        value={value}
        list={known ? id : undefined}
        autoComplete="off"
        spellcheck={false}
        onInput={(event) => set(event.currentTarget.value)}
      />
      {known && (
        <datalist id={id}>
          {list.slice(0, 1000).map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      )}
    </>
  );
}
