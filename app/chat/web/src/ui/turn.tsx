// One question with its answers.
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Lane, type Turn, TIE, isRunning, showTurn, shownAnswer, versions, vote } from "../domain/conversation";
import { answering, resend } from "../state/answering";
import { change, current } from "../state/chats";
import { editing } from "../state/writing";
import { AnswerView } from "./answer";
import { IconButton } from "./button";
import { focusComposer, isTouch } from "./focus";
import { nameOf } from "./models";
import { Pager } from "./pager";
import { isComposing } from "./typing";

export function TurnView({ turn, last }: { turn: Turn; last: boolean }) {
  const compared = turn.lanes.length > 1;
  const hidden = compared && current.value.blind && turn.vote === null;
  const lanes = hidden ? shuffled(turn) : turn.lanes;
  return (
    <section class="turn" aria-label="Question and answers">
      <Question turn={turn} />
      <div class={compared ? "lanes" : "lane"} data-lanes={lanes.length} tabIndex={compared ? 0 : undefined}>
        {lanes.map((lane, index) => (
          <AnswerView
            key={lane.model}
            turn={turn}
            lane={lane}
            name={hidden ? letter(index) : nameOf(lane.model)}
            hidden={hidden}
            compared={compared}
            last={last}
          />
        ))}
      </div>
      {hidden && <Ballot turn={turn} lanes={lanes} />}
      {compared && turn.vote !== null && (
        <p class="quiet verdict">
          {turn.vote === TIE ? "You rated them equally good." : `You preferred ${nameOf(turn.vote)}.`}
        </p>
      )}
    </section>
  );
}

const letter = (index: number): string => `Model ${String.fromCharCode(65 + index)}`;

/** An order that does not reveal the models and is the same at every render. */
function shuffled(turn: Turn): Lane[] {
  const rank = (lane: Lane): string => shownAnswer(lane).id.split("").reverse().join("");
  return [...turn.lanes].sort((one, other) => (rank(one) < rank(other) ? -1 : 1));
}

function Ballot({ turn, lanes }: { turn: Turn; lanes: Lane[] }) {
  if (lanes.some((lane) => isRunning(shownAnswer(lane)))) return null;
  const choose = (choice: string): void => change(current.peek().id, (now) => vote(now, turn.id, choice));
  return (
    <div class="ballot" role="group" aria-label="Which answer is better?">
      <span>Which answer is better?</span>
      {lanes.map((lane, index) => (
        <button key={lane.model} type="button" class="button" onClick={() => choose(lane.model)}>
          {letter(index)}
        </button>
      ))}
      <button type="button" class="button" onClick={() => choose(TIE)}>
        Equally good
      </button>
    </div>
  );
}

function Question({ turn }: { turn: Turn }) {
  if (editing.value === turn.id) return <QuestionEditor turn={turn} />;
  const all = versions(current.value, turn);
  return (
    <div class="question">
      <h2 class="unseen">You</h2>
      <p class="bubble" dir="auto">
        {turn.text}
      </p>
      <div class="question-foot">
        <Pager
          label="this question"
          at={all.indexOf(turn)}
          count={all.length}
          disabled={answering.value}
          show={(index) => change(current.peek().id, (now) => showTurn(now, all[index]!))}
        />
        <IconButton
          icon="edit"
          label="Edit and resend"
          disabled={answering.value}
          onClick={() => (editing.value = turn.id)}
        />
      </div>
    </div>
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
  const finish = (send: boolean): void => {
    const text = field.current!.value.trim();
    if (send && !text) return;
    editing.value = null;
    focusComposer();
    if (send) resend(turn, text);
  };
  return (
    <div class="question-editor">
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
        <button type="button" class="button primary" onClick={() => finish(true)}>
          Send
        </button>
      </div>
    </div>
  );
}
