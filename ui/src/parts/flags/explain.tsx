import { useId, useState } from 'preact/hooks';
import { type ContextFields, EMPTY, contextOf } from '../../core/flags/context';
import { written } from '../../core/flags/change';
import { t } from '../../i18n/text';
import { announce } from '../../live/announce';
import { type ApiError, asApiError, send } from '../../live/api';
import type { Attribute, Explanation, FlagSet, Step } from '../../live/flags';
import type { ExplainedView } from '../../live/types';
import { Icon } from '../icons';
import { Failed, Raw } from '../states';

/** Most declared attributes that have a field of their own. */
const FIELDS = 12;

/** What somebody gets, and every step that led to it. */
export function Explain({ flag, environment, set }: { flag: string; environment: string; set: FlagSet | null }) {
  const [fields, setFields] = useState<ContextFields>(EMPTY);
  const [answer, setAnswer] = useState<Explanation | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const declared = set?.attributes ?? {};
  const ask = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      const body = { environment: environment || null, context: contextOf(fields, declared) };
      const response = await send('POST', `/api/v1/flags/${encodeURIComponent(flag)}/explain`, body);
      const found = ((await response.json()) as ExplainedView).explanation;
      setAnswer(found);
      announce('say.explained', { variant: found.variant ?? '–', why: found.detail });
    } catch (wrong) {
      setError(asApiError(wrong));
      setAnswer(null);
    }
    setBusy(false);
  };
  return (
    <>
      <form class="fields" data-test="explain" onSubmit={(event) => void ask(event)}>
        <Text label={t('explain.user')} value={fields.user} set={(user) => setFields({ ...fields, user })} />
        <Text
          label={t('explain.tenant')}
          value={fields.tenant}
          set={(tenant) => setFields({ ...fields, tenant })}
          list={Object.keys(set?.tenants ?? {})}
        />
        <Text
          label={t('explain.unit')}
          value={fields.targetingKey}
          set={(targetingKey) => setFields({ ...fields, targetingKey })}
        />
        <Attributes fields={fields} declared={declared} change={setFields} />
        <div class="row">
          <button type="submit" aria-disabled={busy}>
            {t('explain.ask')}
          </button>
        </div>
      </form>
      {error && <Failed error={error} />}
      {answer && <Answer answer={answer} />}
    </>
  );
}

function Attributes({
  fields,
  declared,
  change,
}: {
  fields: ContextFields;
  declared: Readonly<Record<string, Attribute>>;
  change: (fields: ContextFields) => void;
}) {
  // What the directory says of a tenant, nobody else says.
  const own = Object.keys(declared).filter((name) => declared[name]?.source !== 'tenant');
  const shown = own.slice(0, FIELDS);
  const valueOf = (name: string) => fields.attributes.find((one) => one.name === name)?.value ?? '';
  const put = (name: string, value: string) => {
    const others = fields.attributes.filter((one) => one.name !== name);
    change({ ...fields, attributes: [...others, { name, value }] });
  };
  const more = own.slice(FIELDS);
  const [other, setOther] = useState('');
  return (
    <>
      {shown.map((name) => (
        <Text
          key={name}
          label={`${name} (${declared[name]?.type ?? ''})`}
          value={valueOf(name)}
          set={(value) => put(name, value)}
        />
      ))}
      {more.length > 0 && (
        <>
          <label class="field">
            {t('explain.other')}
            <select value={other} onChange={(event) => setOther(event.currentTarget.value)}>
              <option value="">–</option>
              {more.map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          {other !== '' && (
            <Text
              label={`${other} (${declared[other]?.type ?? ''})`}
              value={valueOf(other)}
              set={(value) => put(other, value)}
            />
          )}
        </>
      )}
    </>
  );
}

export function Text({
  label,
  value,
  set,
  list,
}: {
  label: string;
  value: string;
  set: (value: string) => void;
  list?: readonly string[];
}) {
  const id = useId();
  return (
    <label class="field">
      {label}
      <input
        value={value}
        list={list && list.length > 0 ? id : undefined}
        autoComplete="off"
        spellcheck={false}
        onInput={(event) => set(event.currentTarget.value)}
      />
      {list && list.length > 0 && (
        <datalist id={id}>
          {list.slice(0, 1000).map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      )}
    </label>
  );
}

function Answer({ answer }: { answer: Explanation }) {
  return (
    <div class="explanation" data-test="explanation" data-variant={answer.variant}>
      <h3>
        {answer.variant === null
          ? t('explain.none')
          : t('explain.serves', { variant: answer.variant, value: written(answer.value) ?? 'null' })}
      </h3>
      <p>
        <code>{answer.reason}</code> <Raw>{answer.detail}</Raw>
      </p>
      <Steps steps={answer.steps} />
    </div>
  );
}

function Steps({ steps }: { steps: readonly Step[] }) {
  return (
    <ol class="steps">
      {steps.map((step, index) => (
        <li key={index} class={step.decides ? 'decides' : undefined} data-stage={step.stage}>
          <Raw>
            {step.asked}
            {step.asked.endsWith('?') ? ' ' : ': '}
            <b>{step.found}</b>
          </Raw>
          {step.decides && (
            <span class="badge">
              <Icon shape="passed" />
              {t('explain.decides')}
            </span>
          )}
          {step.because && step.because.length > 0 && <Steps steps={step.because} />}
        </li>
      ))}
    </ol>
  );
}
