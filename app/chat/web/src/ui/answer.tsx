// One model's answer: thinking, text, failure, figures and actions.
import type { ReadonlySignal } from "@preact/signals";
import {
  type Answer,
  type Failure,
  type Lane,
  type Turn,
  configure,
  isRunning,
  showAnswer,
  shownAnswer,
} from "../domain/conversation";
import { DELETED } from "../domain/revision";
import { splitThinking } from "../domain/thinking";
import {
  type StreamingAnswer,
  answering,
  streamingAnswers,
  continueAnswer,
  regenerate,
  stop,
} from "../state/answering";
import { change, current, currentId } from "../state/chats";
import { openPanel } from "../state/layout";
import { figuresShown, showFigures } from "../state/preferences";
import { deleteAnswer } from "../state/revising";
import { editing } from "../state/writing";
import { AnswerEditor } from "./answer-editor";
import { IconButton, TextButton } from "./button";
import { CopyButton } from "./clipboard";
import { keepFocus } from "./focus";
import { figureList } from "./figures";
import { Icon } from "./icon";
import { Markdown } from "./markdown";
import { MenuButton } from "./menu";
import { nameOf } from "./models";
import { Pager } from "./pager";
import { newChat } from "./sidebar";

interface Props {
  turn: Turn;
  lane: Lane;
  /** What to call the model: its name, or a letter while the comparison is blind. */
  name: string;
  /** The letter that the answer had before the vote. */
  formerly: string | null;
  hidden: boolean;
  compared: boolean;
  last: boolean;
}

export function AnswerView({ turn, lane, name, formerly, hidden, compared, last }: Props) {
  const answer = shownAnswer(lane);
  const live = streamingAnswers.value.get(answer.id);
  const running = live !== undefined;
  const revised = !running && editing.value === answer.id;
  return (
    <article
      class={turn.vote === lane.model ? "answer preferred" : "answer"}
      aria-label={`Answer of ${name}`}
      aria-busy={running}
      tabIndex={-1}
    >
      <header class="answer-head">
        <h3>{name}</h3>
        {formerly && <span class="quiet">{formerly}</span>}
        {answer.editedAt !== undefined && answer.text !== "" && <span class="quiet">Edited</span>}
        {answer.servedBy && !hidden && answer.servedBy !== lane.model && (
          <span class="quiet">answered by {answer.servedBy}</span>
        )}
        {compared && running && (
          <button type="button" class="chip" onClick={() => stop(answer.id)} aria-label={`Stop ${name}`}>
            <Icon name="stop" />
            Stop
          </button>
        )}
      </header>
      {compared && !hidden && <FigureList answer={answer} />}
      {revised ? <AnswerEditor answer={answer} name={name} /> : <Body answer={answer} live={live} />}
      {!running && isRunning(answer) && (
        <p class="waiting" role="status">
          <span class="pulse" aria-hidden="true" />
          In progress in another tab
        </p>
      )}
      {!running && <Outcome turn={turn} lane={lane} answer={answer} />}
      {!running && !revised && !isRunning(answer) && (
        <Foot turn={turn} lane={lane} answer={answer} hidden={hidden} compared={compared} last={last} />
      )}
    </article>
  );
}

/** The text, complete or streaming. */
function Body({ answer, live }: { answer: Answer; live: StreamingAnswer | undefined }) {
  if (live?.empty.value) return <Waiting live={live} />;
  const parts = splitThinking(answer.text, answer.reasoning);
  const thought = live ? live.hasThinking.value : parts.thinking !== "";
  return (
    <>
      {thought && <Thinking source={live?.thinking} text={parts.thinking} busy={live?.isThinking.value ?? false} />}
      <Markdown source={live?.answerText} text={parts.answer} />
    </>
  );
}

function Waiting({ live }: { live: StreamingAnswer }) {
  return (
    <p class="waiting" role="status">
      <span class="pulse" aria-hidden="true" />
      {waitingFor(live)}
    </p>
  );
}

function waitingFor(live: StreamingAnswer): string {
  const place = live.queue.value;
  if (place !== null) return place === 1 ? "You're next" : `${ordinal(place)} in line`;
  // Without its name, which a blind comparison hides.
  return live.loading.value ? "Loading the model…" : "Thinking…";
}

const SUFFIXES: Partial<Record<Intl.LDMLPluralRule, string>> = { one: "st", two: "nd", few: "rd" };
const ORDINALS = new Intl.PluralRules("en", { type: "ordinal" });

const ordinal = (number: number): string => `${number}${SUFFIXES[ORDINALS.select(number)] ?? "th"}`;

interface ThinkingProps {
  source: ReadonlySignal<string> | undefined;
  text: string;
  busy: boolean;
}

function Thinking({ source, text, busy }: ThinkingProps) {
  return (
    <details class="thinking">
      <summary>
        <Icon name="next" />
        {busy ? "Thinking" : "Thoughts"}
        {busy && <span class="pulse" aria-hidden="true" />}
      </summary>
      <Markdown source={source} text={text} />
    </details>
  );
}

const ADVICE: Record<Failure["kind"], string> = {
  unauthorized: "Enter a key that may use this model, then retry.",
  "signed-out": "Sign in again, then retry.",
  busy: "You can also use another model.",
  unavailable: "Retry, or use another model.",
  rejected: "Change your message or the settings, then retry.",
  full: "Start a new chat, or shorten your message and try again.",
  lost: "The text so far is kept.",
};

/** How the answer ended, when it did not end normally. */
function Outcome({ turn, lane, answer }: { turn: Turn; lane: Lane; answer: Answer }) {
  const { failure, state, finish } = answer;
  if (answer.state === "done" && finish === "length") {
    return (
      <div class="outcome">
        <p>Stopped at the length limit.</p>
        <ContinueButton turn={turn} lane={lane} answer={answer} />
      </div>
    );
  }
  if (state === "stopped") {
    return (
      <div class="outcome">
        <p>{finish === DELETED ? "Answer deleted." : "Stopped."}</p>
        {canContinue(answer) && <ContinueButton turn={turn} lane={lane} answer={answer} />}
      </div>
    );
  }
  if (!failure) return null;
  return (
    <div class="outcome failed" role="alert">
      <Icon name="alert" />
      <div>
        <p>{failure.message}</p>
        <p class="quiet">
          {ADVICE[failure.kind]}
          {failure.retryAfter !== null && ` Try again in ${Math.ceil(failure.retryAfter)} s.`}
        </p>
        <div class="buttons">
          {failure.kind === "unauthorized" && (
            <TextButton icon="key" onClick={() => openPanel("key")}>
              Enter a key
            </TextButton>
          )}
          {failure.kind === "full" && (
            <TextButton icon="new" primary onClick={newChat}>
              Start a new chat
            </TextButton>
          )}
          {failure.kind === "full" && current.value.sendAll && (
            <TextButton onClick={() => leaveOutOldest(turn, lane.model)}>Leave out the oldest messages</TextButton>
          )}
          {failure.kind === "lost" && canContinue(answer) && <ContinueButton turn={turn} lane={lane} answer={answer} />}
          <TextButton icon="redo" onClick={() => keepFocus(() => regenerate(turn, lane.model))}>
            Retry
          </TextButton>
        </div>
      </div>
    </div>
  );
}

function leaveOutOldest(turn: Turn, model: string): void {
  change(currentId.peek(), (now) => configure(now, { sendAll: false }));
  regenerate(turn, model);
}

/** Only text of the answer can be continued, not thinking. */
const canContinue = (answer: Answer): boolean => splitThinking(answer.text).answer !== "";

function ContinueButton({ turn, lane, answer }: { turn: Turn; lane: Lane; answer: Answer }) {
  return (
    <TextButton icon="play" onClick={() => keepFocus(() => continueAnswer(turn, lane.model, answer))}>
      Continue
    </TextButton>
  );
}

interface FootProps {
  turn: Turn;
  lane: Lane;
  answer: Answer;
  hidden: boolean;
  compared: boolean;
  last: boolean;
}

function Foot({ turn, lane, answer, hidden, compared, last }: FootProps) {
  const name = hidden ? "this model" : nameOf(lane.model);
  const busy = answering.value || isRunning(answer);
  return (
    <footer class="answer-foot">
      <Pager
        label={`answers of ${name}`}
        at={lane.answers.indexOf(answer)}
        count={lane.answers.length}
        disabled={busy || !last}
        show={(index) => change(currentId.peek(), (now) => showAnswer(now, turn.id, lane.model, index))}
      />
      {answer.text && <CopyButton id={answer.id} label="Copy answer" text={splitThinking(answer.text).answer} />}
      {answer.failure === null && (
        <IconButton
          icon="redo"
          label="Regenerate"
          disabled={busy}
          onClick={() => keepFocus(() => regenerate(turn, lane.model))}
        />
      )}
      <MenuButton
        label="More about this answer"
        disabled={busy}
        actions={[
          ...(answer.text
            ? [{ icon: "edit" as const, label: "Edit answer", run: () => void (editing.value = answer.id) }]
            : []),
          { icon: "remove", label: "Delete answer", run: () => keepFocus(() => deleteAnswer(turn, answer)) },
        ]}
      />
      {!compared && answer.figures && answer.figures.tokens > 0 && (
        <IconButton
          icon="info"
          label="Speed"
          aria-pressed={figuresShown.value}
          onClick={() => showFigures(!figuresShown.value)}
        />
      )}
      {!compared && figuresShown.value && <FigureList answer={answer} />}
    </footer>
  );
}

/** Time to first token, speed, length: below a single answer, above compared answers. */
function FigureList({ answer }: { answer: Answer }) {
  const figures = answer.figures ? figureList(answer.figures) : [];
  if (figures.length === 0) return null;
  return (
    <ul class="figures" aria-label="Speed">
      {figures.map((figure) => (
        <li key={figure}>{figure}</li>
      ))}
    </ul>
  );
}
