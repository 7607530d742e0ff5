// System prompt and sampling of the displayed conversation.
import { DEFAULT_SAMPLING, type Sampling, configure } from "../domain/conversation";
import { change, current } from "../state/chats";
import { notify } from "../state/notices";
import { setDefaults } from "../state/preferences";
import { TextButton } from "./button";
import { Dialog } from "./dialog";
import { SamplingFields } from "./sampling";

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
      <SamplingFields sampling={sampling} set={set} />
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
