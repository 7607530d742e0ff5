// The notes in a long chat: messages that are left out, and the summary that is sent in their place.
import { useState } from "preact/hooks";
import { configure } from "../domain/conversation";
import { answering } from "../state/answering";
import { change, current, currentId } from "../state/chats";
import { placeholderFor } from "../state/models";
import { setSummary, stopSummarizing, summarize, summarizing } from "../state/summarizing";
import { TextButton } from "./button";
import { Markdown } from "./markdown";

/** Above the first message that the model still receives. */
export function OmittedNote({ count, summarized }: { count: number; summarized: number }) {
  const running = summarizing.value;
  const [model] = current.value.models;
  return (
    <div class="omitted">
      <span>Messages above are no longer sent: the chat is longer than the model's context.</span>
      {running?.id === currentId.value ? (
        <span role="status">
          Summarizing{running.parts > 1 && ` (part ${running.part} of ${running.parts})`}…{" "}
          <button type="button" class="inline-link" onClick={stopSummarizing}>
            Cancel
          </button>
        </span>
      ) : model === undefined || placeholderFor(model) ? null : (
        <button
          type="button"
          class="inline-link"
          disabled={answering.value || running !== null}
          onClick={() => void summarize(count)}
        >
          {summarized > 0 ? "Update the summary" : "Summarize them"}
        </button>
      )}
      <button
        type="button"
        class="inline-link"
        onClick={() => change(currentId.peek(), (now) => configure(now, { sendAll: true, summary: undefined }))}
      >
        Send all messages
      </button>
    </div>
  );
}

/** Below the last message that the summary replaces. */
export function SummaryNote() {
  const { id, summary } = current.value;
  const [edited, setEdited] = useState<string | null>(null);
  if (!summary) return null;
  const save = (): void => {
    const text = edited?.trim();
    setSummary(id, text ? { ...summary, text } : undefined);
    setEdited(null);
  };
  return (
    <section class="summary" aria-label="Summary of the messages above">
      <h2>Summary of the messages above, sent in their place</h2>
      {edited === null ? (
        <>
          <Markdown text={summary.text} />
          <div class="buttons">
            <TextButton icon="edit" onClick={() => setEdited(summary.text)}>
              Edit summary
            </TextButton>
            <TextButton icon="remove" onClick={() => setSummary(id, undefined)}>
              Remove summary
            </TextButton>
          </div>
        </>
      ) : (
        <>
          <textarea
            aria-label="Summary"
            dir="auto"
            rows={6}
            value={edited}
            onInput={(event) => setEdited(event.currentTarget.value)}
          />
          <div class="buttons">
            <TextButton onClick={() => setEdited(null)}>Cancel</TextButton>
            <TextButton primary onClick={save}>
              Save summary
            </TextButton>
          </div>
        </>
      )}
    </section>
  );
}
