// The list of prompts that a slash at the start of the message opens, and the form for variables.
import { computed, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type Prompt, filled, matching, slashQuery, variablesIn } from "../domain/prompts";
import { closePanel, openPanel, panel } from "../state/layout";
import { editNewPrompt, prompts } from "../state/prompts";
import { draft, setDraft } from "../state/writing";
import { Dialog } from "./dialog";
import { focusComposer } from "./focus";
import { Icon } from "./icon";
import { isComposing } from "./typing";

const MAX_SHOWN = 50;

/** Where the caret is in the message field. */
const caret = signal(0);
/** The message with which the list was closed: it stays closed until the message has another beginning. */
const dismissed = signal(false);
const at = signal(0);

const query = computed(() => (dismissed.value ? null : slashQuery(draft.value, caret.value)));
const found = computed(() => (query.value === null ? [] : matching(prompts.value, query.value).slice(0, MAX_SHOWN)));

interface Option {
  id: string;
  title: string;
  text: string;
  run: () => void;
}

/** The prompts, and a way to make one while nothing is searched. */
const options = computed((): Option[] => {
  const all = found.value.map(({ id, title, text }) => ({ id, title, text, run: () => use({ title, text }) }));
  if (query.value !== "") return all;
  const add = { id: "new", title: "New prompt", text: "Save a text that you use often", run: () => edit() };
  return [...all, add];
});

const isOpen = computed(() => options.value.length > 0);

/** Call it at each change of the text or the caret. */
export function followCaret({ value, selectionEnd }: HTMLTextAreaElement): void {
  if (!value.startsWith("/")) dismissed.value = false;
  if (caret.value === selectionEnd) return;
  caret.value = selectionEnd;
  at.value = 0;
}

/** Attributes of the message field: it stays a text field with suggestions. */
export const pickerAttributes = () =>
  isOpen.value
    ? ({
        "aria-autocomplete": "list",
        "aria-haspopup": "listbox",
        "aria-controls": "prompt-options",
        "aria-activedescendant": `prompt-${options.value[at.value]?.id}`,
      } as const)
    : {};

/** Handles a key while the list is open; false when the key is not for the list. */
export function handlePickerKey(event: KeyboardEvent): boolean {
  if (!isOpen.peek() || isComposing(event)) return false;
  const all = options.peek();
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step !== undefined) at.value = (at.peek() + step + all.length) % all.length;
  else if ((event.key === "Enter" && !event.shiftKey) || event.key === "Tab") all[at.peek()]?.run();
  else if (event.key === "Escape") dismissed.value = true;
  else return false;
  event.preventDefault();
  event.stopPropagation();
  return true;
}

export function PromptPicker() {
  const list = useRef<HTMLUListElement>(null);
  const open = isOpen.value;
  useEffect(() => {
    list.current?.querySelector("[aria-selected='true']")?.scrollIntoView({ block: "nearest" });
  }, [at.value, open]);
  return (
    <>
      <p class="unseen" role="status">
        {open && (found.value.length === 1 ? "1 prompt" : `${found.value.length} prompts`)}
      </p>
      {open && (
        <ul ref={list} id="prompt-options" role="listbox" aria-label="Prompts" class="prompt-options">
          {options.value.map(({ id, title, text, run }, index) => (
            <li
              key={id}
              id={`prompt-${id}`}
              role="option"
              aria-selected={index === at.value}
              onMouseMove={() => void (at.value = index)}
              // The field keeps the focus.
              onMouseDown={(event) => event.preventDefault()}
              onClick={run}
            >
              <Icon name={id === "new" ? "plus" : "prompt"} />
              <span class="prompt-main">
                <strong dir="auto">{title}</strong>
                <span class="quiet" dir="auto">
                  {text}
                </span>
              </span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** The prompt whose variables are asked for. */
const asked = signal<Pick<Prompt, "title" | "text"> | null>(null);

function use(prompt: Pick<Prompt, "title" | "text">): void {
  if (variablesIn(prompt.text).length === 0) insert(prompt.text);
  else {
    asked.value = prompt;
    openPanel("variables");
  }
}

/** Replaces the slash and the query; what is after the caret stays. */
function insert(text: string): void {
  const rest = draft.peek().slice(caret.peek());
  setDraft(text + rest);
  caret.value = text.length;
  // A prompt may begin with a slash.
  dismissed.value = true;
  focusComposer({ evenOnTouch: true });
}

function edit(): void {
  setDraft(draft.peek().slice(caret.peek()));
  editNewPrompt();
}

export function VariablesPanel() {
  return (
    <Dialog name="variables" title={asked.value?.title ?? ""} shape="card">
      {panel.value === "variables" && asked.value && <Variables prompt={asked.value} />}
    </Dialog>
  );
}

function Variables({ prompt }: { prompt: Pick<Prompt, "title" | "text"> }) {
  const form = useRef<HTMLFormElement>(null);
  const names = variablesIn(prompt.text);
  const submit = (event: Event): void => {
    event.preventDefault();
    const fields = [...form.current!.querySelectorAll("textarea")];
    const values = new Map(names.map((name, index) => [name, fields[index]!.value]));
    closePanel();
    insert(filled(prompt.text, values));
  };
  return (
    <form
      ref={form}
      class="key-form"
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
        if (!(event.target instanceof HTMLTextAreaElement)) return;
        submit(event);
      }}
    >
      {names.map((name, index) => (
        <label key={name} class="field">
          <span class="field-name">{name}</span>
          <textarea rows={1} dir="auto" autofocus={index === 0} />
        </label>
      ))}
      <div class="buttons">
        <button type="submit" class="button primary">
          Insert
        </button>
      </div>
    </form>
  );
}
