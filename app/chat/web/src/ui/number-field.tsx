// A number with limits that are checked while it is typed.
import { useEffect, useId, useState } from "preact/hooks";

interface Props {
  name: string;
  help: string;
  value: number | null;
  min: number;
  max?: number;
  /** `any` allows fractions. */
  step?: number | "any";
  take: (value: number | null) => void;
}

export function NumberField({ name, help, value, min, max, step = 1, take }: Props) {
  const id = useId();
  /** What is in the field while it is not valid. */
  const [invalid, setInvalid] = useState<string | null>(null);
  useEffect(() => setInvalid(null), [value]);
  return (
    <div class="field">
      <label class="field-name" for={id}>
        {name}
      </label>
      <input
        id={id}
        type="number"
        inputMode={step === 1 ? "numeric" : "decimal"}
        min={min}
        max={max}
        step={step}
        value={invalid ?? value ?? ""}
        aria-describedby={invalid === null ? `${id}-help` : `${id}-problem`}
        aria-invalid={invalid !== null}
        onInput={(event) => {
          const { valueAsNumber: number, validity, value: typed } = event.currentTarget;
          setInvalid(validity.valid ? null : typed);
          if (validity.valid) take(Number.isNaN(number) ? null : number);
        }}
      />
      {invalid === null ? (
        <p id={`${id}-help`} class="quiet">
          {help}
        </p>
      ) : (
        <p id={`${id}-problem`} class="problem" role="alert">
          {allowed(min, max, step)} {inUse(value)}
        </p>
      )}
    </div>
  );
}

function allowed(min: number, max: number | undefined, step: number | "any"): string {
  const what = step === 1 ? "a whole number" : "a number";
  const from = min.toLocaleString("en");
  return max === undefined
    ? `Enter ${what} of at least ${from}.`
    : `Enter ${what} from ${from} to ${max.toLocaleString("en")}.`;
}

const inUse = (value: number | null): string =>
  value === null ? "Until then, it is as if blank." : `Until then, ${value.toLocaleString("en")} is used.`;
