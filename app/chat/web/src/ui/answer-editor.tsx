// The field in which the user changes an answer. What the model receives as history changes with it.
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Answer } from "../domain/conversation";
import { splitThinking } from "../domain/thinking";
import { saveAnswer } from "../state/revising";
import { editing } from "../state/writing";
import { keepFocus } from "./focus";
import { isComposing } from "./typing";

const MAX_ROWS = 20;

export function AnswerEditor({ answer, name }: { answer: Answer; name: string }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const { answer: text, thinking } = splitThinking(answer.text, answer.reasoning);
  useLayoutEffect(() => field.current?.focus(), []);
  const close = (): void => keepFocus(() => void (editing.value = null));
  const save = (): void => {
    const written = field.current!.value.trim();
    if (!written) return;
    close();
    if (written !== text.trim()) saveAnswer(answer, written, thinking);
  };
  return (
    <div class="question-editor">
      <textarea
        ref={field}
        dir="auto"
        aria-label={`Edit the answer of ${name}`}
        defaultValue={text}
        rows={Math.min(MAX_ROWS, text.split("\n").length + 2)}
        onKeyDown={(event) => {
          if (isComposing(event) || event.key !== "Escape") return;
          event.preventDefault();
          event.stopPropagation();
          close();
        }}
      />
      <div class="buttons">
        <button type="button" class="button" onClick={close}>
          Cancel
        </button>
        <button type="button" class="button primary" onClick={save}>
          Save
        </button>
      </div>
    </div>
  );
}
