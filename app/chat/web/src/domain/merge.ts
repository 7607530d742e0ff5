// Merges two states of one conversation that were changed in two tabs.
import { type Answer, type Conversation, type Lane, type Turn, allAnswers, isRunning } from "./conversation";

const length = ({ text, reasoning }: Answer): number => text.length + reasoning.length;

const isNewerEdit = (one: { editedAt?: number | undefined }, other: { editedAt?: number | undefined }): boolean =>
  (one.editedAt ?? 0) > (other.editedAt ?? 0);

/** Of two states of an answer: the one edited last, else the complete one, else the longer one, else `mine`. */
function mergeAnswer(mine: Answer, theirs: Answer): Answer {
  if (isNewerEdit(theirs, mine)) return theirs;
  if (isNewerEdit(mine, theirs)) return mine;
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
  ...(isNewerEdit(theirs, mine) && { text: theirs.text, editedAt: theirs.editedAt }),
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
  const removed = { ...older.removed, ...newer.removed };
  const merged = withoutRemoved(
    union(newer.turns, older.turns, ({ id }) => id, mergeTurn),
    removed,
  );
  const shownLanes = new Map(mine.turns.flatMap((turn) => turn.lanes.map((lane) => [laneKey(turn, lane), lane.shown])));
  return {
    ...newer,
    turns: merged.map((turn) => ({
      ...turn,
      lanes: turn.lanes.map((lane) => ({ ...lane, shown: shownLanes.get(laneKey(turn, lane)) ?? lane.shown })),
    })),
    shown: shownOf({ ...theirs.shown, ...mine.shown }, merged, newer.shown),
    // The other tab pinned or unpinned it last: its change was just reported.
    pinned: theirs.pinned,
    ...(Object.keys(removed).length > 0 && { removed }),
  };
}

/** Leaves out what one of the tabs deleted; what followed a deleted turn follows the one before it. */
function withoutRemoved(turns: Turn[], removed: Record<string, string>): Turn[] {
  const above = (parent: string | null): string | null => {
    // An imported file could have a circle.
    const seen = new Set<string>();
    let found = parent;
    while (found !== null && Object.hasOwn(removed, found) && !seen.has(found)) {
      seen.add(found);
      found = removed[found] || null;
    }
    return found;
  };
  const keep = ({ answers, ...lane }: Lane): Lane => {
    const left = answers.filter(({ id }) => !Object.hasOwn(removed, id));
    return { ...lane, answers: left.length > 0 ? left : answers };
  };
  return turns
    .filter(({ id }) => !Object.hasOwn(removed, id))
    .map((turn) => ({ ...turn, parent: above(turn.parent), lanes: turn.lanes.map(keep) }));
}

/** What is displayed: in place of a deleted turn, what followed it. */
function shownOf(
  shown: Record<string, string>,
  turns: Turn[],
  fallback: Record<string, string>,
): Record<string, string> {
  const ids = new Set(turns.map(({ id }) => id));
  const existing = (first: string): string | undefined => {
    const seen = new Set<string>();
    let id: string | undefined = first;
    while (id !== undefined && !ids.has(id) && !seen.has(id)) {
      seen.add(id);
      id = shown[id];
    }
    return id !== undefined && ids.has(id) ? id : undefined;
  };
  const usable = Object.entries({ ...fallback, ...shown }).map(
    ([key, id]) => [key, existing(id) ?? existing(fallback[key] ?? "")] as const,
  );
  return Object.fromEntries(
    usable.filter(
      (entry): entry is [string, string] => entry[1] !== undefined && (entry[0] === "" || ids.has(entry[0])),
    ),
  );
}

/** `mine` with the messages that only an imported state has; null if there are none. */
export function addMissing(mine: Conversation, imported: Conversation): Conversation | null {
  const theirs = unrevised(imported);
  if (containsAll(mine, theirs)) return null;
  const { turns, shown } = mergeConversations({ ...mine, removed: undefined }, theirs);
  const ids = new Set(
    turns.flatMap(({ id, lanes }) => [id, ...lanes.flatMap(({ answers }) => answers.map((one) => one.id))]),
  );
  const removed = Object.fromEntries(Object.entries(mine.removed ?? {}).filter(([id]) => !ids.has(id)));
  return { ...mine, turns, shown, removed };
}

/** Without the times of edits, by which an import would replace messages. */
const unrevised = (conversation: Conversation): Conversation => ({
  ...conversation,
  removed: undefined,
  turns: conversation.turns.map((turn) => ({
    ...turn,
    editedAt: undefined,
    lanes: turn.lanes.map((lane) => ({
      ...lane,
      answers: lane.answers.map((answer) => ({ ...answer, editedAt: undefined })),
    })),
  })),
});

const laneKey = (turn: Turn, lane: Lane): string => `${turn.id} ${lane.model}`;

/** Whether `stored` contains every message of `merged`, as far as it is written. */
export function containsAll(stored: Conversation, merged: Conversation): boolean {
  const known = new Map(allAnswers(stored).map((answer) => [answer.id, answer]));
  const turns = new Map(stored.turns.map((turn) => [turn.id, turn]));
  const hasQuestions = merged.turns.every((turn) => {
    const other = turns.get(turn.id);
    return other !== undefined && !isNewerEdit(turn, other);
  });
  const hasAnswers = allAnswers(merged).every((answer) => {
    const other = known.get(answer.id);
    if (other === undefined || isNewerEdit(answer, other)) return false;
    if (isNewerEdit(other, answer)) return true;
    return isRunning(answer) || (!isRunning(other) && length(other) >= length(answer));
  });
  return hasQuestions && hasAnswers && Object.keys(merged.removed ?? {}).every((id) => id in (stored.removed ?? {}));
}
