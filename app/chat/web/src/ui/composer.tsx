// The message field, and a note when the chosen models cannot answer.
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Attachment } from "../domain/attachments";
import { path } from "../domain/conversation";
import { answering, send, stopAll } from "../state/answering";
import { attach, clearDraftFiles, detach, draftFiles, filesInReading } from "../state/attaching";
import { current } from "../state/chats";
import { chooseFiles } from "../state/files";
import { following, openPanel } from "../state/layout";
import {
  conditionNamed,
  conditionOf,
  keyRequired,
  models,
  placeholderFor,
  signedOut,
  statusError,
} from "../state/models";
import { closeDemoNotes, closedDemoNotes } from "../state/preferences";
import { draft, editing, setDraft } from "../state/writing";
import { AttachmentList } from "./attachments";
import { IconButton, TextButton } from "./button";
import { FileNotes, blindModels } from "./file-notes";
import { isTouch } from "./focus";
import { ContextGauge } from "./gauge";
import { Icon } from "./icon";
import { chooseModels, nameOf, placeholderText } from "./models";
import { Note } from "./note";
import { PastedNote, rememberPasted } from "./pasted";
import { PromptPicker, followCaret, handlePickerKey, pickerAttributes } from "./prompt-picker";
import { isComposing } from "./typing";

export function Composer() {
  const field = useRef<HTMLTextAreaElement>(null);
  const text = draft.value;
  const busy = answering.value;
  const files = draftFiles.value;
  const complete = (text.trim() !== "" || files.length > 0) && filesInReading.value.length === 0;
  const ready = complete && current.value.models.length > 0 && !busy && blindModels().length === 0;

  useLayoutEffect(() => {
    const area = field.current!;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight}px`;
  }, [text]);

  const submit = (): void => {
    if (!ready) return;
    following.value = true;
    setDraft("");
    clearDraftFiles();
    send(text.trim(), files);
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    if (isComposing(event) || handlePickerKey(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !isTouch()) {
      event.preventDefault();
      submit();
    } else if (event.key === "ArrowUp" && text === "" && !busy) {
      const last = path(current.peek()).at(-1);
      if (!last) return;
      event.preventDefault();
      editing.value = last.id;
    }
  };

  const remove = (file: Attachment): void => {
    detach(file);
    field.current!.focus();
  };

  return (
    <div class="composer-area">
      <AvailabilityNote />
      <FileNotes />
      <PastedNote />
      <form
        class="composer"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <PromptPicker />
        <AttachmentList files={files} reading={filesInReading.value} remove={remove} />
        <IconButton
          icon="attach"
          class="attach"
          label="Attach files"
          onClick={() => chooseFiles((chosen) => void attach(chosen))}
        />
        <textarea
          id="composer"
          ref={field}
          rows={1}
          dir="auto"
          placeholder="Ask anything"
          aria-label="Message"
          value={text}
          {...pickerAttributes()}
          onInput={(event) => {
            followCaret(event.currentTarget);
            setDraft(event.currentTarget.value);
          }}
          onSelect={(event) => followCaret(event.currentTarget)}
          onKeyDown={onKeyDown}
          onPaste={rememberPasted}
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
      <div class="composer-foot">
        <p class="hint">AI can make mistakes. Check important info.</p>
        <ContextGauge />
      </div>
    </div>
  );
}

/** Shows why the chosen models cannot answer, and offers actions. */
function AvailabilityNote() {
  if (keyRequired.value) {
    return (
      <Note tone="warning">
        Enter your API key to continue.
        <span class="buttons">
          <TextButton icon="key" onClick={() => openPanel("key")}>
            Enter a key
          </TextButton>
        </span>
      </Note>
    );
  }
  if (signedOut.value) {
    return (
      <Note tone="warning">
        You are signed out. Your message and your chats are kept.
        <span class="buttons">
          <TextButton icon="key" onClick={() => location.reload()}>
            Sign in again
          </TextButton>
        </span>
      </Note>
    );
  }
  if (statusError.value) return <Note tone="error">{statusError.value}</Note>;
  const chosen = current.value.models;
  const down = chosen.find((id) => ["down", "loading"].includes(conditionNamed(id).light));
  if (down) return <UnavailableModel id={down} />;
  const placeholders = chosen.filter((id) => placeholderFor(id) && !closedDemoNotes.value.includes(id));
  if (placeholders.length === 0) return null;
  return (
    <Note tone="info" close={() => closeDemoNotes(placeholders)}>
      <strong>{placeholders.map(nameOf).join(", ")}: demo model.</strong>{" "}
      {placeholderText(placeholderFor(placeholders[0]!)!)}
    </Note>
  );
}

function UnavailableModel({ id }: { id: string }) {
  const { label, reason, advice } = conditionNamed(id);
  const others = models.value.filter((model) => model.id !== id);
  const other =
    others.find((model) => ["ready", "busy"].includes(conditionOf(model).light)) ??
    others.find((model) => conditionOf(model).light === "asleep");
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
