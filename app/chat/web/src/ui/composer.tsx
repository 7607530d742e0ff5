// Where a message is written, and what stands in the way of sending it.
import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { path } from "../domain/conversation";
import { answering, send, stopAll } from "../state/answering";
import { current, currentId } from "../state/chats";
import { openPanel } from "../state/layout";
import { conditionNamed, models, conditionOf, standInFor, trouble } from "../state/models";
import { TextButton } from "./button";
import { focusComposer } from "./focus";
import { Icon } from "./icon";
import { chooseModels, nameOf, standInText } from "./models";
import { followAgain } from "./thread";
import { editing } from "./turn";

/** What is written and not sent, for each conversation. */
const drafts = signal<ReadonlyMap<string, string>>(new Map());

function setDraft(text: string): void {
  drafts.value = new Map(drafts.peek()).set(currentId.peek(), text);
}

export function fillComposer(text: string): void {
  setDraft(text);
  focusComposer();
}

export function Composer() {
  const field = useRef<HTMLTextAreaElement>(null);
  const draft = drafts.value.get(currentId.value) ?? "";
  const busy = answering.value;
  const ready = draft.trim() !== "" && current.value.models.length > 0 && !busy;

  useLayoutEffect(() => {
    const area = field.current!;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight}px`;
  }, [draft]);

  const submit = (): void => {
    if (!ready) return;
    followAgain();
    const text = draft.trim();
    setDraft("");
    send(text);
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    } else if (event.key === "ArrowUp" && draft === "" && !busy) {
      const last = path(current.peek()).at(-1);
      if (!last) return;
      event.preventDefault();
      editing.value = last.id;
    }
  };

  return (
    <div class="composer-area">
      <Obstacle />
      <form
        class="composer"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <textarea
          id="composer"
          ref={field}
          rows={1}
          placeholder="Write a message"
          aria-label="Message"
          aria-describedby="composer-hint"
          value={draft}
          onInput={(event) => setDraft(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {busy ? (
          <button key="stop" type="button" class="round" aria-label="Stop" title="Stop (Esc)" onClick={stopAll}>
            <Icon name="stop" />
          </button>
        ) : (
          <button key="send" type="submit" class="round" aria-label="Send" title="Send (Enter)" disabled={!ready}>
            <Icon name="send" />
          </button>
        )}
      </form>
      <p id="composer-hint" class="hint">
        Enter sends, Shift + Enter starts a new line. Models make mistakes: check what matters.
      </p>
    </div>
  );
}

/** Says what keeps the chosen models from answering, and offers a way out. */
function Obstacle() {
  if (trouble.value) return <Note tone="error">{trouble.value}</Note>;
  const chosen = current.value.models;
  const down = chosen.find((id) => ["down", "loading"].includes(conditionNamed(id).light));
  if (down) return <Unready id={down} />;
  const standIns = chosen.filter((id) => standInFor(id));
  if (standIns.length === 0) return null;
  return (
    <Note tone="info">
      <strong>{standIns.map(nameOf).join(", ")}: stand-in.</strong> {standInText(standInFor(standIns[0]!)!)}
    </Note>
  );
}

function Unready({ id }: { id: string }) {
  const { label, reason, advice } = conditionNamed(id);
  const other = models.value.find((model) => model.id !== id && ["ready", "busy"].includes(conditionOf(model).light));
  return (
    <Note tone="warning">
      <strong>
        {nameOf(id)}: {label.toLowerCase()}.
      </strong>{" "}
      {reason && `${sentence(reason)} `}
      {advice}
      <span class="buttons">
        {other && <TextButton onClick={() => chooseModels([other.id])}>Use {other.id}</TextButton>}
        <TextButton onClick={() => openPanel("models")}>All models</TextButton>
      </span>
    </Note>
  );
}

const sentence = (text: string): string =>
  text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

function Note({ tone, children }: { tone: "error" | "warning" | "info"; children: preact.ComponentChildren }) {
  return (
    <div class={`note ${tone}`} role="status">
      <Icon name={tone === "info" ? "info" : "alert"} />
      <div>{children}</div>
    </div>
  );
}
