// The vote on compared answers, and its result.
import { type Lane, type Turn, TIE, isRunning, shownAnswer, vote } from "../domain/conversation";
import { change, currentId } from "../state/chats";
import { keepFocus } from "./focus";
import { nameOf } from "./models";

export const letter = (index: number): string => `Model ${String.fromCharCode(65 + index)}`;

/** The order in a blind comparison: it does not reveal the models, and it stays after the vote. */
export function shuffled(turn: Turn): Lane[] {
  const rank = (lane: Lane): string => lane.answers[0]!.id.split("").reverse().join("");
  return [...turn.lanes].sort((one, other) => (rank(one) < rank(other) ? -1 : 1));
}

interface Props {
  turn: Turn;
  lanes: Lane[];
  hidden: boolean;
}

export function Ballot({ turn, lanes, hidden }: Props) {
  const choose = (choice: string | null) => () =>
    keepFocus(() => change(currentId.peek(), (now) => vote(now, turn.id, choice)));
  if (turn.vote !== null) {
    return (
      <p class="verdict">
        {turn.vote === TIE ? "You called it a tie." : `You preferred ${nameOf(turn.vote)}.`}
        <button type="button" class="inline-link" onClick={choose(null)}>
          Undo
        </button>
      </p>
    );
  }
  if (lanes.some((lane) => isRunning(shownAnswer(lane)))) return null;
  return (
    <div class="ballot" role="group" aria-label="Which answer is better?">
      <span>Which answer is better?</span>
      {lanes.map((lane, index) => (
        <button key={lane.model} type="button" class="button" onClick={choose(lane.model)}>
          {hidden ? letter(index) : nameOf(lane.model)}
        </button>
      ))}
      <button type="button" class="button" onClick={choose(TIE)}>
        Tie
      </button>
    </div>
  );
}
