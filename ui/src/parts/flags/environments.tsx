import { t } from '../../i18n/text';

/** Chooses the environment, where there are several. */
export function Environments({
  known,
  at,
  choose,
}: {
  known: readonly string[];
  at: string;
  choose: (environment: string) => void;
}) {
  if (known.length === 0) return null;
  const all = known.includes(at) ? known : [...known, at];
  return (
    <label>
      {t('flags.environment')}
      <select data-test="environment" value={at} onChange={(event) => choose(event.currentTarget.value)}>
        {all.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
