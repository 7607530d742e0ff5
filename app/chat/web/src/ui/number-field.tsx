// A number with limits that are checked while it is typed, and a slider for it if that helps.
import { useEffect, useId, useState } from "preact/hooks";
import type { Range } from "../domain/limits";

interface Props {
  name: string;
  help: string;
  value: number | null;
  range: Range;
  /** With a slider, which begins at this value while the field is blank. */
  slider?: number;
  take: (value: number | null) => void;
}

export function NumberField({ name, help, value, range, slider, take }: Props) {
  const id = useId();
  /** What is in the field while it is not valid. */
  const [invalid, setInvalid] = useState<string | null>(null);
  useEffect(() => setInvalid(null), [value]);
  const { min, max, step } = range;
  return (
    <div class={slider === undefined ? "field" : "field with-slider"}>
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
      {slider !== undefined && (
        <input
          type="range"
          aria-label={`${name} slider`}
          min={min}
          max={max}
          step={0.05}
          value={value ?? slider}
          onInput={(event) => {
            setInvalid(null);
            take(event.currentTarget.valueAsNumber);
          }}
        />
      )}
      {invalid === null ? (
        <p id={`${id}-help`} class="quiet">
          {help}
        </p>
      ) : (
        <p id={`${id}-problem`} class="problem" role="alert">
          {allowed(range)} {inUse(value)}
        </p>
      )}
    </div>
  );
}

/** A larger limit helps nobody. */
const LARGE = 1_000_000;

function allowed({ min, max, step }: Range): string {
  const what = step === 1 ? "a whole number" : "a number";
  const [from, to] = [min.toLocaleString("en"), max.toLocaleString("en")];
  return max > LARGE ? `Enter ${what} of at least ${from}.` : `Enter ${what} from ${from} to ${to}.`;
}

const inUse = (value: number | null): string =>
  value === null ? "Until then, it is as if blank." : `Until then, ${value.toLocaleString("en")} is used.`;
