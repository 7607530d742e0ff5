// The dialog with the user's prompts: search, add, change, delete.
import { useState } from "preact/hooks";
import { MAX_PROMPT_TEXT, MAX_PROMPT_TITLE, type Prompt, matching } from "../domain/prompts";
import { panel } from "../state/layout";
import { deletePrompt, editNewPrompt, editedPrompt, prompts, restorePrompt, savePrompt } from "../state/prompts";
import { IconButton, TextButton } from "./button";
import { Dialog } from "./dialog";

export function PromptsPanel() {
  return (
    <Dialog name="prompts" title="Prompts" shape="card">
      {panel.value === "prompts" && (editedPrompt.value ? <PromptForm key={editedPrompt.value.id} /> : <PromptList />)}
    </Dialog>
  );
}

function PromptList() {
  const [query, setQuery] = useState("");
  const [deleted, setDeleted] = useState<Prompt | null>(null);
  const found = matching(prompts.value, query);
  const remove = (prompt: Prompt): void => {
    setDeleted(prompt);
    void deletePrompt(prompt.id);
  };
  return (
    <div class="prompts">
      <p class="quiet">Type / in an empty message to use a prompt.</p>
      {prompts.value.length > 0 && (
        <input
          type="text"
          aria-label="Search prompts"
          placeholder="Search prompts"
          value={query}
          onInput={(event) => setQuery(event.currentTarget.value)}
        />
      )}
      <ul>
        {found.map((prompt) => (
          <li key={prompt.id} class="prompt">
            <span class="prompt-main">
              <strong dir="auto">{prompt.title}</strong>
              <span class="quiet" dir="auto">
                {prompt.text}
              </span>
            </span>
            <IconButton icon="edit" label={`Edit ${prompt.title}`} onClick={() => void (editedPrompt.value = prompt)} />
            <IconButton icon="remove" label={`Delete ${prompt.title}`} onClick={() => remove(prompt)} />
          </li>
        ))}
      </ul>
      <p role="status" class={deleted || (query && found.length === 0) ? "quiet" : "unseen"}>
        {deleted && (
          <>
            “{deleted.title}” was deleted.{" "}
            <button
              type="button"
              class="inline-link"
              onClick={() => {
                void restorePrompt(deleted);
                setDeleted(null);
              }}
            >
              Undo
            </button>
          </>
        )}
        {!deleted && query && found.length === 0 && "No matches"}
      </p>
      <div class="buttons">
        <TextButton icon="plus" onClick={() => editNewPrompt()}>
          New prompt
        </TextButton>
      </div>
    </div>
  );
}

function PromptForm() {
  const edited = editedPrompt.value!;
  const [title, setTitle] = useState(edited.title);
  const [text, setText] = useState(edited.text);
  const [tried, setTried] = useState(false);
  const missing = title.trim() === "" ? "Enter a title." : text.trim() === "" ? "Enter the text of the prompt." : null;
  const close = (): void => void (editedPrompt.value = null);
  const submit = (event: Event): void => {
    event.preventDefault();
    setTried(true);
    if (missing) return;
    void savePrompt({ id: edited.id, title: title.trim(), text: text.trim() });
    close();
  };
  return (
    <form class="key-form" onSubmit={submit}>
      <label class="field">
        <span class="field-name">Title</span>
        <input
          autofocus
          type="text"
          dir="auto"
          maxLength={MAX_PROMPT_TITLE}
          aria-invalid={tried && title.trim() === ""}
          value={title}
          onInput={(event) => setTitle(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span class="field-name">Text</span>
        <textarea
          rows={8}
          dir="auto"
          maxLength={MAX_PROMPT_TEXT}
          aria-invalid={tried && text.trim() === ""}
          placeholder={"Translate into {{language}}:\n\n{{text}}"}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <p class="quiet">A name in double braces, as {"{{language}}"}, is asked for when you use the prompt.</p>
      {tried && missing && (
        <p class="problem" role="alert">
          {missing}
        </p>
      )}
      <div class="buttons">
        <TextButton onClick={close}>Cancel</TextButton>
        <button type="submit" class="button primary">
          Save prompt
        </button>
      </div>
    </form>
  );
}
