// Merges two states of one conversation that were changed in two tabs.
import { type Answer, type Conversation, type Lane, type Turn, allAnswers, isRunning } from "./conversation";

const length = ({ text, reasoning }: Answer): number => text.length + reasoning.length;

/** Of two states of an answer: the complete one, else the longer one; `mine` when both are complete. */
function mergeAnswer(mine: Answer, theirs: Answer): Answer {
  if (isRunning(mine) !== isRunning(theirs)) return isRunning(mine) ? theirs : mine;
  if (isRunning(mine)) return length(theirs) > length(mine) ? theirs : mine;
  return mine;
}

/** Everything in `mine`, merged with its counterpart in `theirs`; then what only `theirs` has. */
function union<T>(mine: T[], theirs: T[], keyOf: (item: T) => string, merge: (one: T, other: T) => T): T[] {
  const others = new Map(theirs.map((item) => [keyOf(item), item]));
  const known = new Set(mine.map(keyOf));
  const merged = mine.map((item) => {
    const other = others.get(keyOf(item));
    return other ? merge(item, other) : item;
  });
  return [...merged, ...theirs.filter((item) => !known.has(keyOf(item)))];
}

const mergeLane = (mine: Lane, theirs: Lane): Lane => ({
  ...mine,
  answers: union(mine.answers, theirs.answers, ({ id }) => id, mergeAnswer),
});

const mergeTurn = (mine: Turn, theirs: Turn): Turn => ({
  ...mine,
  vote: mine.vote ?? theirs.vote,
  lanes: union(mine.lanes, theirs.lanes, ({ model }) => model, mergeLane),
});

/**
 * The messages of both states. The newer state has the title and the settings; what is displayed stays as in
 * `mine`, and a message that follows the last displayed one is displayed.
 */
export function mergeConversations(mine: Conversation, theirs: Conversation): Conversation {
  const newer = theirs.updatedAt > mine.updatedAt ? theirs : mine;
  const older = newer === mine ? theirs : mine;
  const merged = union(newer.turns, older.turns, ({ id }) => id, mergeTurn);
  const shownLanes = new Map(mine.turns.flatMap((turn) => turn.lanes.map((lane) => [laneKey(turn, lane), lane.shown])));
  return {
    ...newer,
    turns: merged.map((turn) => ({
      ...turn,
      lanes: turn.lanes.map((lane) => ({ ...lane, shown: shownLanes.get(laneKey(turn, lane)) ?? lane.shown })),
    })),
    shown: { ...theirs.shown, ...mine.shown },
  };
}

const laneKey = (turn: Turn, lane: Lane): string => `${turn.id} ${lane.model}`;

/** Whether `stored` contains every message of `merged`, as far as it is written. */
export function containsAll(stored: Conversation, merged: Conversation): boolean {
  const known = new Map(allAnswers(stored).map((answer) => [answer.id, answer]));
  return allAnswers(merged).every((answer) => {
    const other = known.get(answer.id);
    return other !== undefined && (isRunning(answer) || (!isRunning(other) && length(other) >= length(answer)));
  });
}
