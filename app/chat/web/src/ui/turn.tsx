// One question with its answers.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { type Turn, showTurn, versions } from "../domain/conversation";
import { answering, resend } from "../state/answering";
import { change, current } from "../state/chats";
import { deleteTurn, saveQuestion } from "../state/revising";
import { editNewPrompt } from "../state/prompts";
import { editing } from "../state/writing";
import { AttachmentList } from "./attachments";
import { AnswerView } from "./answer";
import { Ballot, letter, shuffled } from "./ballot";
import { IconButton } from "./button";
import { CopyButton } from "./clipboard";
import { focusComposer, isTouch, keepFocus } from "./focus";
import { MenuButton } from "./menu";
import { nameOf } from "./models";
import { Pager } from "./pager";
import { isComposing } from "./typing";

export function TurnView({ turn, last }: { turn: Turn; last: boolean }) {
  const compared = turn.lanes.length > 1;
  const hidden = compared && current.value.blind && turn.vote === null;
  const blind = compared && current.value.blind;
  const lanes = blind ? shuffled(turn) : turn.lanes;
  // A group and not a region: landmarks need names of their own, and a chat has hundreds of questions.
  return (
    <section id={`turn-${turn.id}`} class="turn" role="group" aria-label="Question and answers" tabIndex={-1}>
      <Question turn={turn} />
      <div class={compared ? "lanes" : "lane"} data-lanes={lanes.length} tabIndex={compared ? 0 : undefined}>
        {lanes.map((lane, index) => (
          <AnswerView
            key={lane.model}
            turn={turn}
            lane={lane}
            name={hidden ? letter(index) : nameOf(lane.model)}
            formerly={blind && !hidden ? letter(index) : null}
            hidden={hidden}
            compared={compared}
            last={last}
          />
        ))}
      </div>
      {compared && <Ballot turn={turn} lanes={lanes} hidden={hidden} />}
    </section>
  );
}

function Question({ turn }: { turn: Turn }) {
  if (editing.value === turn.id) return <QuestionEditor turn={turn} />;
  const all = versions(current.value, turn);
  return (
    <div class="question">
      <h2 class="unseen">{turn.editedAt === undefined ? "You" : "You, edited"}</h2>
      <AttachmentList files={turn.attachments ?? []} />
      {turn.text && <Bubble text={turn.text} />}
      <div class="question-foot">
        <Pager
          label="this question"
          at={all.indexOf(turn)}
          count={all.length}
          disabled={answering.value}
          show={(index) => change(current.peek().id, (now) => showTurn(now, all[index]!))}
        />
        <CopyButton id={turn.id} label="Copy message" text={turn.text} />
        <IconButton
          icon="edit"
          label="Edit message"
          disabled={answering.value}
          onClick={() => (editing.value = turn.id)}
        />
        <MenuButton
          label="More about this message"
          disabled={answering.value}
          actions={[
            ...(turn.text
              ? [{ icon: "prompt" as const, label: "Save as prompt", run: () => editNewPrompt(turn.text) }]
              : []),
            { icon: "remove", label: "Delete message", run: () => keepFocus(() => deleteTurn(turn)) },
          ]}
        />
      </div>
    </div>
  );
}

/** Longer texts are folded. */
const LONG = { characters: 1500, lines: 20 };

function Bubble({ text }: { text: string }) {
  const [whole, setWhole] = useState(false);
  const long = text.length > LONG.characters || text.split("\n", LONG.lines + 1).length > LONG.lines;
  return (
    <>
      <p class={long && !whole ? "bubble folded" : "bubble"} dir="auto">
        {text}
      </p>
      {long && (
        <button type="button" class="inline-link fold" aria-expanded={whole} onClick={() => setWhole(!whole)}>
          {whole ? "Show less" : "Show all"}
        </button>
      )}
    </>
  );
}

function QuestionEditor({ turn }: { turn: Turn }) {
  const field = useRef<HTMLTextAreaElement>(null);
  // Before the field is shown: later, it would move the caret under someone who types already.
  useLayoutEffect(() => {
    const { current: area } = field;
    area?.focus();
    area?.setSelectionRange(area.value.length, area.value.length);
  }, []);
  const [files, setFiles] = useState(turn.attachments ?? []);
  const finish = (send: boolean): void => {
    const text = field.current!.value.trim();
    if (send && !text && files.length === 0) return;
    editing.value = null;
    focusComposer();
    if (send) resend(turn, text, files);
  };
  const save = (): void => {
    const text = field.current!.value.trim();
    if (!text && files.length === 0) return;
    editing.value = null;
    focusComposer();
    saveQuestion(turn, text);
  };
  return (
    <div class="question-editor">
      <h2 class="unseen">You</h2>
      <AttachmentList files={files} remove={(file) => setFiles(files.filter(({ id }) => id !== file.id))} />
      <textarea
        ref={field}
        dir="auto"
        aria-label="Edit your message"
        defaultValue={turn.text}
        rows={3}
        onKeyDown={(event) => {
          if (isComposing(event)) return;
          // A phone's keyboard has no Shift + Enter: there, Enter starts a new line.
          const enter = event.key === "Enter" && !event.shiftKey && !isTouch();
          if (!enter && event.key !== "Escape") return;
          event.preventDefault();
          event.stopPropagation();
          finish(enter);
        }}
      />
      <div class="buttons">
        <button type="button" class="button" onClick={() => finish(false)}>
          Cancel
        </button>
        <button type="button" class="button" onClick={save} title="Change your message and keep its answers">
          Save
        </button>
        <button type="button" class="button primary" onClick={() => finish(true)}>
          Send
        </button>
      </div>
    </div>
  );
}
