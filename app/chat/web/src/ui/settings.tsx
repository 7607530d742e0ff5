// System prompt and sampling of the displayed conversation.
import { useId } from "preact/hooks";
import { DEFAULT_SAMPLING, type Sampling, configure } from "../domain/conversation";
import { change, current } from "../state/chats";
import { notify } from "../state/notices";
import { setDefaults } from "../state/preferences";
import { TextButton } from "./button";
import { Dialog } from "./dialog";
import { NumberField } from "./number-field";

const set = (update: Partial<Sampling>): void =>
  change(current.peek().id, (now) => configure(now, { sampling: { ...now.sampling, ...update } }));

export function SettingsPanel() {
  const { id, system, sampling, sendAll } = current.value;
  return (
    <Dialog name="settings" title="Chat settings" shape="sheet">
      <label class="field">
        <span class="field-name">System prompt</span>
        <textarea
          rows={6}
          placeholder="How the model should behave, for example: answer briefly, with sources."
          value={system}
          onInput={(event) => {
            const text = event.currentTarget.value;
            change(id, (now) => configure(now, { system: text }));
          }}
        />
      </label>
      <Slider
        name="Temperature"
        help="Lower is more focused, higher more creative."
        value={sampling.temperature ?? DEFAULT_SAMPLING.temperature!}
        max={2}
        take={(temperature) => set({ temperature })}
      />
      <Slider
        name="Top P"
        help="Limits word choice to the most likely. 1 = no limit."
        value={sampling.topP ?? DEFAULT_SAMPLING.topP!}
        max={1}
        take={(topP) => set({ topP })}
      />
      <NumberField
        name="Max length (tokens)"
        help="Leave blank for no limit."
        value={sampling.maxTokens}
        min={1}
        take={(maxTokens) => set({ maxTokens })}
      />
      <NumberField
        name="Seed"
        help="Use the same number for repeatable answers. Leave blank for random."
        value={sampling.seed}
        min={0}
        take={(seed) => set({ seed })}
      />
      <label class="switch">
        <input
          type="checkbox"
          role="switch"
          checked={!sendAll}
          onChange={(event) => {
            const { checked } = event.currentTarget;
            change(id, (now) => configure(now, { sendAll: !checked }));
          }}
        />
        <span>
          <strong>Leave out the oldest messages</strong>
          <span class="quiet">When a chat is longer than the model's context.</span>
        </span>
      </label>
      <div class="buttons">
        <TextButton onClick={() => keepAsDefaults(system, sampling)}>Save as default</TextButton>
        <TextButton onClick={() => change(id, (now) => configure(now, { system: "", sampling: DEFAULT_SAMPLING }))}>
          Reset
        </TextButton>
      </div>
    </Dialog>
  );
}

function keepAsDefaults(system: string, sampling: Sampling): void {
  setDefaults({ system, sampling });
  notify("Saved as your default.");
}

interface SliderProps {
  name: string;
  help: string;
  value: number;
  max: number;
  take: (value: number) => void;
}

function Slider({ name, help, value, max, take }: SliderProps) {
  const id = useId();
  return (
    <div class="field">
      <label class="field-name" for={id}>
        {name}
        <output for={id}>{value.toFixed(2)}</output>
      </label>
      <input
        id={id}
        type="range"
        min={0}
        max={max}
        step={0.05}
        value={value}
        aria-describedby={`${id}-help`}
        onInput={(event) => take(event.currentTarget.valueAsNumber)}
      />
      <p id={`${id}-help`} class="quiet">
        {help}
      </p>
    </div>
  );
}
