// The dialog for the API key.
import { useRef } from "preact/hooks";
import { closePanel } from "../state/layout";
import { keyRequired, refresh } from "../state/models";
import { apiKey, keyRemembered, setKey } from "../state/preferences";
import { Dialog } from "./dialog";

export function KeyPanel() {
  const field = useRef<HTMLInputElement>(null);
  const remember = useRef<HTMLInputElement>(null);
  const submit = (event: Event): void => {
    event.preventDefault();
    setKey(field.current!.value.trim(), remember.current!.checked);
    keyRequired.value = false;
    closePanel();
    void refresh();
  };
  return (
    <Dialog name="key" title="API key" shape="card">
      <form class="key-form" onSubmit={submit}>
        <p class="quiet">
          {keyRequired.value && apiKey.value
            ? "That key isn't valid. Ask your administrator for another one."
            : "Ask your administrator for a key, if this server needs one."}
        </p>
        <label class="field">
          <span class="field-name">Key</span>
          <input
            ref={field}
            autofocus
            type="password"
            autocomplete="off"
            spellcheck={false}
            defaultValue={apiKey.value}
          />
        </label>
        <label class="switch">
          <input ref={remember} type="checkbox" role="switch" defaultChecked={keyRemembered.value} />
          <span>
            <strong>Remember on this device</strong>
            <span class="quiet">Otherwise it's forgotten when you close the page. Never included in exports.</span>
          </span>
        </label>
        <div class="buttons">
          <button type="submit" class="button primary">
            Save key
          </button>
        </div>
      </form>
    </Dialog>
  );
}
