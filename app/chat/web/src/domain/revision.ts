// Changes and deletions of messages by the user, after they were sent or received.
import {
  type Answer,
  type Conversation,
  type Lane,
  type Turn,
  changeAnswer,
  keyOf,
  mapTurn,
  newAnswer,
  newId,
  touched,
} from "./conversation";

/** The `finish` of an answer that the user deleted without another one in its place. */
export const DELETED = "deleted";

/** Changes a question and keeps its answers. */
export const reviseQuestion = (conversation: Conversation, turnId: string, text: string): Conversation =>
  touched(
    mapTurn(conversation, turnId, (turn) => ({ ...turn, text, editedAt: Date.now() })),
    {},
  );

/** Changes the text of an answer; its thinking stays. */
export const reviseAnswer = (
  conversation: Conversation,
  answerId: string,
  text: string,
  reasoning: string,
): Conversation => changeAnswer(conversation, answerId, { text, reasoning, editedAt: Date.now() });

/** Deletes a question with its answers. The messages after it follow the message before it. */
export function removeTurn(conversation: Conversation, turn: Turn): Conversation {
  const key = keyOf(turn.parent);
  const shown = { ...conversation.shown };
  const siblings = conversation.turns.filter(({ id, parent }) => parent === turn.parent && id !== turn.id);
  const next = shown[turn.id] ?? siblings.at(-1)?.id;
  delete shown[turn.id];
  if (shown[key] === turn.id) {
    delete shown[key];
    if (next !== undefined) shown[key] = next;
  }
  return touched(conversation, {
    turns: conversation.turns
      .filter(({ id }) => id !== turn.id)
      .map((other) => (other.parent === turn.id ? { ...other, parent: turn.parent } : other)),
    shown,
    removed: { ...conversation.removed, [turn.id]: key },
  });
}

/** Puts a deleted turn back. Its ids are new, because other tabs remember that the old ones were deleted. */
export function restoreTurn(conversation: Conversation, before: Conversation, turn: Turn): Conversation {
  const restored = renewed(turn);
  const followers = new Set(before.turns.filter(({ parent }) => parent === turn.id).map(({ id }) => id));
  const key = keyOf(turn.parent);
  const shown = { ...conversation.shown };
  const follower = before.shown[turn.id];
  if (follower !== undefined) shown[restored.id] = follower;
  if (before.shown[key] === turn.id) shown[key] = restored.id;
  const at = before.turns.findIndex(({ id }) => id === turn.id);
  const turns = conversation.turns.map((other) =>
    followers.has(other.id) ? { ...other, parent: restored.id } : other,
  );
  return touched(conversation, { turns: [...turns.slice(0, at), restored, ...turns.slice(at)], shown });
}

const renewed = (turn: Turn): Turn => ({
  ...turn,
  id: newId(),
  lanes: turn.lanes.map((lane) => ({ ...lane, answers: lane.answers.map((answer) => ({ ...answer, id: newId() })) })),
});

/** Deletes one version of an answer. If it is the only one, the question stays without an answer. */
export function removeAnswer(conversation: Conversation, turnId: string, answer: Answer): Conversation {
  const without = (lane: Lane): Lane => {
    const at = lane.answers.findIndex(({ id }) => id === answer.id);
    if (at < 0) return lane;
    const rest = lane.answers.filter(({ id }) => id !== answer.id);
    if (rest.length === 0) return { ...lane, answers: [emptied(answer)], shown: 0 };
    return { ...lane, answers: rest, shown: Math.max(0, at - 1) };
  };
  return touched(
    mapTurn(conversation, turnId, (turn) => ({ ...turn, lanes: turn.lanes.map(without) })),
    { removed: { ...conversation.removed, [answer.id]: "" } },
  );
}

const emptied = ({ createdAt }: Answer): Answer => ({
  ...newAnswer(createdAt),
  state: "stopped",
  finish: DELETED,
  editedAt: Date.now(),
});

/** Puts a deleted answer back, with a new id. */
export function restoreAnswer(conversation: Conversation, before: Turn, answer: Answer): Conversation {
  const restored = { ...answer, id: newId() };
  const restore = (lane: Lane): Lane => {
    const old = before.lanes.find(({ model }) => model === lane.model);
    const at = old?.answers.findIndex(({ id }) => id === answer.id) ?? -1;
    if (at < 0) return lane;
    const others = lane.answers.filter(({ finish }) => finish !== DELETED);
    return { ...lane, answers: [...others.slice(0, at), restored, ...others.slice(at)], shown: at };
  };
  return touched(
    mapTurn(conversation, before.id, (turn) => ({ ...turn, lanes: turn.lanes.map(restore) })),
    {},
  );
}
