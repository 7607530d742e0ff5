// The dialog for the gateway's API key.
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
            ? "The gateway rejected this key. Ask its operator for another one."
            : "This gateway may require a key. Ask its operator for one."}
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
            <span class="quiet">Otherwise the key is forgotten when this page closes. Exports never contain it.</span>
          </span>
        </label>
        <div class="buttons">
          <button type="submit" class="button primary">
            Use this key
          </button>
        </div>
      </form>
    </Dialog>
  );
}
