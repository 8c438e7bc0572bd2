import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { at } from '../../core/flags/pointer';
import type { Problem } from '../../live/flags';
import { Raw } from '../states';

export interface Wired {
  id: string;
  'aria-invalid': boolean;
  'aria-describedby': string | undefined;
}

/** A field with its name and with what is wrong in it. */
export function Field({
  label,
  problems,
  path,
  wide,
  children,
}: {
  label: string;
  problems: readonly Problem[];
  /** Where in the set its value stands; several where one field says more. */
  path: string | readonly string[];
  wide?: boolean;
  children: (wired: Wired) => ComponentChildren;
}) {
  const id = useId();
  const paths = typeof path === 'string' ? [path] : path;
  const found = paths.flatMap((one) => at(problems, one));
  const wrong = `${id}-wrong`;
  return (
    <div class={wide ? 'field wide' : 'field'}>
      <label for={id}>{label}</label>
      {children({ id, 'aria-invalid': found.length > 0, 'aria-describedby': found.length > 0 ? wrong : undefined })}
      <FieldProblems id={wrong} problems={found} />
    </div>
  );
}

export function FieldProblems({ id, problems }: { id: string; problems: readonly Problem[] }) {
  if (problems.length === 0) return <span id={id} hidden />;
  return (
    <ul id={id} class="field-wrong" data-test="field-problem">
      {problems.map((one, index) => (
        <li key={index} data-path={one.path}>
          <Raw>
            {one.message}
            {one.hint && ` (${one.hint})`}
          </Raw>
        </li>
      ))}
    </ul>
  );
}
