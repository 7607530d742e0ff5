// The fields for how a model writes: sampling, length, stop words, thinking.
import { useEffect, useId, useState } from "preact/hooks";
import { DEFAULT_SAMPLING, EFFORTS, type Effort, type Sampling } from "../domain/conversation";
import { RANGES, stopsFrom, stopsProblem, stopsToText } from "../domain/limits";
import { current } from "../state/chats";
import { canThink } from "../state/models";
import { nameOf } from "./models";
import { NumberField } from "./number-field";

interface Props {
  sampling: Sampling;
  set: (update: Partial<Sampling>) => void;
}

export function SamplingFields({ sampling, set }: Props) {
  const [open] = useState(hasMore(sampling));
  return (
    <>
      <NumberField
        name="Temperature"
        help="Lower is more focused, higher more creative. Blank: the model's default."
        value={sampling.temperature}
        range={RANGES.temperature}
        slider={DEFAULT_SAMPLING.temperature!}
        take={(temperature) => set({ temperature })}
      />
      <NumberField
        name="Max length (tokens)"
        help="Leave blank for no limit."
        value={sampling.maxTokens}
        range={RANGES.maxTokens}
        take={(maxTokens) => set({ maxTokens })}
      />
      <EffortField value={sampling.effort ?? null} take={(effort) => set({ effort })} />
      <details class="more-settings" open={open}>
        <summary>More settings</summary>
        <div class="field-group">
          <NumberField
            name="Top P"
            help="Limits word choice to the most likely. 1 = no limit."
            value={sampling.topP}
            range={RANGES.topP}
            slider={DEFAULT_SAMPLING.topP!}
            take={(topP) => set({ topP })}
          />
          <NumberField
            name="Top K"
            help="Chooses from this many words at most. 0 = no limit."
            value={sampling.topK ?? null}
            range={RANGES.topK}
            take={(topK) => set({ topK })}
          />
          <NumberField
            name="Min P"
            help="Leaves out words that are much less likely than the best one. 0 = none."
            value={sampling.minP ?? null}
            range={RANGES.minP}
            take={(minP) => set({ minP })}
          />
          <NumberField
            name="Repetition penalty"
            help="Above 1, the model repeats itself less. 1 = off."
            value={sampling.repeatPenalty ?? null}
            range={RANGES.repeatPenalty}
            take={(repeatPenalty) => set({ repeatPenalty })}
          />
          <NumberField
            name="Seed"
            help="Use the same number for repeatable answers. Leave blank for random."
            value={sampling.seed}
            range={RANGES.seed}
            take={(seed) => set({ seed })}
          />
          <StopField value={sampling.stop ?? []} take={(stop) => set({ stop })} />
        </div>
      </details>
    </>
  );
}

/** A setting that is in force must be visible. */
const hasMore = ({ topK, minP, repeatPenalty, seed, stop }: Sampling): boolean =>
  [topK, minP, repeatPenalty, seed].some((value) => value !== null && value !== undefined) || (stop ?? []).length > 0;

function StopField({ value, take }: { value: string[]; take: (value: string[]) => void }) {
  const id = useId();
  const [typed, setTyped] = useState(stopsToText(value));
  const problem = stopsProblem(stopsFrom(typed));
  // A reset, or another chat.
  useEffect(() => {
    if (problem === null && stopsFrom(typed).join("\0") !== value.join("\0")) setTyped(stopsToText(value));
  }, [value]);
  return (
    <div class="field">
      <label class="field-name" for={id}>
        Stop words
      </label>
      <textarea
        id={id}
        rows={2}
        value={typed}
        aria-describedby={`${id}-help`}
        aria-invalid={problem !== null}
        onInput={(event) => {
          const text = event.currentTarget.value;
          setTyped(text);
          if (stopsProblem(stopsFrom(text)) === null) take(stopsFrom(text));
        }}
      />
      <p id={`${id}-help`} class={problem === null ? "quiet" : "problem"} role={problem === null ? undefined : "alert"}>
        {problem ?? "One in each line. The answer ends before it. \\n is a line break."}
      </p>
    </div>
  );
}

const EFFORT_NAMES: Record<Effort, string> = { none: "Off", low: "Short", medium: "Medium", high: "Long" };

/** Only for models that can think; or when it was set before another model was chosen. */
function EffortField({ value, take }: { value: Effort | null; take: (value: Effort | null) => void }) {
  const id = useId();
  const chosen = current.value.models;
  const thinkers = chosen.filter(canThink);
  if (thinkers.length === 0 && value === null) return null;
  return (
    <div class="field">
      <label class="field-name" for={id}>
        Thinking
      </label>
      <select
        id={id}
        value={value ?? ""}
        aria-describedby={`${id}-help`}
        onChange={(event) => take(EFFORTS.find((effort) => effort === event.currentTarget.value) ?? null)}
      >
        <option value="">Model's default</option>
        {EFFORTS.map((effort) => (
          <option key={effort} value={effort}>
            {EFFORT_NAMES[effort]}
          </option>
        ))}
      </select>
      <p id={`${id}-help`} class="quiet">
        {usedBy(chosen, thinkers)}
      </p>
    </div>
  );
}

const list = (names: string[]): string => new Intl.ListFormat("en").format(names.map(nameOf));

function usedBy(chosen: string[], thinkers: string[]): string {
  if (thinkers.length === 0) return `Not used: ${list(chosen)} can't think.`;
  if (thinkers.length < chosen.length) return `How long ${list(thinkers)} may think before answering.`;
  return "How long the model may think before it answers.";
}
