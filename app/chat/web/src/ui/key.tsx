// The key for a gateway that asks for one.
import { useRef } from "preact/hooks";
import { closePanel } from "../state/layout";
import { keyWanted, refresh } from "../state/models";
import { apiKey, keyRemembered, setKey } from "../state/preferences";
import { Dialog } from "./dialog";

export function KeyPanel() {
  const field = useRef<HTMLInputElement>(null);
  const remember = useRef<HTMLInputElement>(null);
  const submit = (event: Event): void => {
    event.preventDefault();
    setKey(field.current!.value.trim(), remember.current!.checked);
    keyWanted.value = false;
    closePanel();
    void refresh();
  };
  return (
    <Dialog name="key" title="API key" shape="card">
      <form class="key-form" onSubmit={submit}>
        <p class="quiet">
          {keyWanted.value && apiKey.value
            ? "The gateway does not accept the key that was given. Ask whoever runs it for another one."
            : "This gateway may ask for a key. Whoever runs it can give you one."}
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
            <span class="quiet">Else the key is forgotten when this page closes. Exports never hold it.</span>
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
