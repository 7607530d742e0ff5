// The conversation and its changes. Pure: each change returns a new value.

import type { Attachment } from "./attachments";
import type { Summary } from "./summary";

// Showing another version or changing a setting leaves `updatedAt` alone: the list is ordered by it.

/** Sampling parameters. `null` uses the model server's default. */
export interface Sampling {
  temperature: number | null;
  topP: number | null;
  maxTokens: number | null;
  seed: number | null;
  topK?: number | null | undefined;
  minP?: number | null | undefined;
  repeatPenalty?: number | null | undefined;
  /** Texts that end the answer. */
  stop?: string[] | undefined;
  /** How long a model thinks, if it can think. */
  effort?: Effort | null | undefined;
}

export const EFFORTS = ["none", "low", "medium", "high"] as const;
export type Effort = (typeof EFFORTS)[number];

export type AnswerState = "waiting" | "streaming" | "done" | "stopped" | "failed";

export type FailureKind = "unauthorized" | "signed-out" | "busy" | "unavailable" | "rejected" | "full" | "lost";

/** Why an answer ended early; `message` is shown to the user. */
export interface Failure {
  kind: FailureKind;
  message: string;
  /** Seconds from the server's `Retry-After` header. */
  retryAfter: number | null;
}

/** Speed of an answer. Times are milliseconds, measured in the browser. */
export interface Figures {
  firstTokenMs: number | null;
  tokens: number;
  tokensPerSecond: number | null;
  totalMs: number;
}

export interface Answer {
  id: string;
  state: AnswerState;
  text: string;
  /** Reasoning that the server sent separately from the text. */
  reasoning: string;
  /** The model that answered, when the gateway chose it. */
  servedBy: string | null;
  /** The API's `finish_reason`: `stop`, `length`, … */
  finish: string | null;
  failure: Failure | null;
  figures: Figures | null;
  createdAt: number;
  /** When the user changed or deleted its text. */
  editedAt?: number | undefined;
}

/** One model's answers to one question; `shown` is the index of the displayed one. */
export interface Lane {
  model: string;
  answers: Answer[];
  shown: number;
}

/** A question and the answers to it. Turns form a tree: an edited question is a sibling of the first one. */
export interface Turn {
  id: string;
  parent: string | null;
  text: string;
  attachments?: Attachment[] | undefined;
  createdAt: number;
  lanes: Lane[];
  /** The model whose answer was preferred, or `tie`. */
  vote: string | null;
  /** When the user changed the question without sending it again. */
  editedAt?: number | undefined;
}

export interface Conversation {
  id: string;
  title: string;
  /** Whether the user chose the title. */
  named: boolean;
  /** Whether a model wrote the title. */
  titled?: boolean | undefined;
  createdAt: number;
  updatedAt: number;
  models: string[];
  /** Hide which model wrote which answer until the user has voted. */
  blind: boolean;
  system: string;
  sampling: Sampling;
  /** Send all messages, even when they do not fit in the model's context. */
  sendAll?: boolean | undefined;
  /** Whether it is at the top of the list. */
  pinned?: boolean | undefined;
  /** Sent in place of the oldest messages. */
  summary?: Summary | undefined;
  turns: Turn[];
  /** For each parent (`""` is the start), the displayed child. */
  shown: Record<string, string>;
  /** Deleted turns with their parents (`""` is the start), and deleted answers: another tab may still have them. */
  removed?: Record<string, string> | undefined;
}

export const DEFAULT_SAMPLING: Sampling = { temperature: 0.7, topP: 0.95, maxTokens: 1024, seed: null };
export const MAX_MODELS = 4;
export const TIE = "tie";

export const newId = (): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
};

export function newConversation(
  models: string[],
  defaults: { system: string; sampling: Sampling },
  now = Date.now(),
): Conversation {
  return {
    id: newId(),
    title: "New chat",
    named: false,
    createdAt: now,
    updatedAt: now,
    models,
    blind: false,
    system: defaults.system,
    sampling: defaults.sampling,
    turns: [],
    shown: {},
  };
}

export function newAnswer(now = Date.now()): Answer {
  return {
    id: newId(),
    state: "waiting",
    text: "",
    reasoning: "",
    servedBy: null,
    finish: null,
    failure: null,
    figures: null,
    createdAt: now,
  };
}

export const keyOf = (parent: string | null): string => parent ?? "";

/** The displayed turns, first to last. */
export function path(conversation: Conversation): Turn[] {
  const byId = new Map(conversation.turns.map((turn) => [turn.id, turn]));
  const result: Turn[] = [];
  let next = conversation.shown[""];
  while (next !== undefined && result.length <= conversation.turns.length) {
    const turn = byId.get(next);
    if (!turn) break;
    result.push(turn);
    next = conversation.shown[turn.id];
  }
  return result;
}

/** The versions of one question, oldest first. */
export function versions(conversation: Conversation, turn: Turn): Turn[] {
  return conversation.turns.filter((other) => other.parent === turn.parent);
}

export function shownAnswer(lane: Lane): Answer {
  const answer = lane.answers[lane.shown] ?? lane.answers.at(-1);
  if (!answer) throw new Error(`lane of ${lane.model} has no answer`);
  return answer;
}

export function allAnswers(conversation: Conversation): Answer[] {
  return conversation.turns.flatMap((turn) => turn.lanes.flatMap((lane) => lane.answers));
}

export const attachmentsIn = ({ turns }: Pick<Conversation, "turns">): Attachment[] =>
  turns.flatMap(({ attachments }) => attachments ?? []);

export const isRunning = (answer: Answer): boolean => answer.state === "waiting" || answer.state === "streaming";

const TITLE_LENGTH = 60;

/** A title from the first question: its first line, cut at a word. */
export function titleFrom(text: string): string {
  const line = text.trim().split("\n", 1)[0]?.replace(/\s+/g, " ").trim() ?? "";
  if (line.length <= TITLE_LENGTH) return line || "New chat";
  const cut = line.slice(0, TITLE_LENGTH);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), TITLE_LENGTH / 2)).trimEnd()}…`;
}

export const touched = (conversation: Conversation, change: Partial<Conversation>): Conversation => ({
  ...conversation,
  ...change,
  updatedAt: Date.now(),
});

/** Adds a question after `parent`, shows it, and opens one waiting answer for each model. */
export function ask(
  conversation: Conversation,
  parent: string | null,
  text: string,
  models: string[],
  attachments: Attachment[] = [],
): { conversation: Conversation; turn: Turn } {
  const turn: Turn = {
    id: newId(),
    parent,
    text,
    ...(attachments.length > 0 && { attachments }),
    createdAt: Date.now(),
    lanes: models.map((model) => ({ model, answers: [newAnswer()], shown: 0 })),
    vote: null,
  };
  const first = conversation.turns.length === 0 && !conversation.named;
  return {
    turn,
    conversation: touched(conversation, {
      title: first ? titleFrom(text || (attachments[0]?.name ?? "")) : conversation.title,
      turns: [...conversation.turns, turn],
      shown: { ...conversation.shown, [keyOf(parent)]: turn.id },
    }),
  };
}

export function mapTurn(conversation: Conversation, id: string, change: (turn: Turn) => Turn): Conversation {
  return { ...conversation, turns: conversation.turns.map((turn) => (turn.id === id ? change(turn) : turn)) };
}

export function mapLane(turn: Turn, model: string, change: (lane: Lane) => Lane): Turn {
  return { ...turn, lanes: turn.lanes.map((lane) => (lane.model === model ? change(lane) : lane)) };
}

/** Adds another answer of `model` to a question and shows it. */
export function askAgain(
  conversation: Conversation,
  turnId: string,
  model: string,
): { conversation: Conversation; answer: Answer } {
  const answer = newAnswer();
  const add = (lane: Lane): Lane => ({
    ...lane,
    answers: [...lane.answers, answer],
    shown: lane.answers.length,
  });
  return {
    answer,
    conversation: touched(
      mapTurn(conversation, turnId, (turn) => mapLane(turn, model, add)),
      {},
    ),
  };
}

export function showAnswer(conversation: Conversation, turnId: string, model: string, index: number): Conversation {
  return mapTurn(conversation, turnId, (turn) => mapLane(turn, model, (lane) => ({ ...lane, shown: index })));
}

export function showTurn(conversation: Conversation, turn: Turn): Conversation {
  return { ...conversation, shown: { ...conversation.shown, [keyOf(turn.parent)]: turn.id } };
}

/** Shows the versions of the questions that lead to a turn. */
export function reveal(conversation: Conversation, turnId: string): Conversation {
  const byId = new Map(conversation.turns.map((turn) => [turn.id, turn]));
  let shown = conversation.shown;
  for (let turn = byId.get(turnId); turn; turn = turn.parent === null ? undefined : byId.get(turn.parent)) {
    shown = { ...shown, [keyOf(turn.parent)]: turn.id };
  }
  return { ...conversation, shown };
}

export function vote(conversation: Conversation, turnId: string, choice: string | null): Conversation {
  return mapTurn(conversation, turnId, (turn) => ({ ...turn, vote: choice }));
}

export function changeAnswer(conversation: Conversation, answerId: string, change: Partial<Answer>): Conversation {
  const inLane = (lane: Lane): Lane =>
    lane.answers.some((answer) => answer.id === answerId)
      ? {
          ...lane,
          answers: lane.answers.map((answer) => (answer.id === answerId ? { ...answer, ...change } : answer)),
        }
      : lane;
  return touched(conversation, {
    turns: conversation.turns.map((turn) =>
      turn.lanes.some((lane) => lane.answers.some((answer) => answer.id === answerId))
        ? { ...turn, lanes: turn.lanes.map(inLane) }
        : turn,
    ),
  });
}

export function rename(conversation: Conversation, title: string): Conversation {
  const trimmed = title.trim();
  return trimmed ? touched(conversation, { title: trimmed, named: true }) : conversation;
}

export function configure(
  conversation: Conversation,
  change: Partial<Pick<Conversation, "models" | "blind" | "system" | "sampling" | "sendAll" | "summary">>,
): Conversation {
  return { ...conversation, ...change };
}

/** Answers that were streaming when the page closed cannot complete: mark them as failed, to be retried. */
export function closeInterrupted(conversation: Conversation): Conversation {
  const failure: Failure = {
    kind: "lost",
    message: "The page was closed before the answer was complete.",
    retryAfter: null,
  };
  const running = allAnswers(conversation).filter(isRunning);
  return running.reduce<Conversation>((result, answer) => {
    const closed = changeAnswer(result, answer.id, { state: "failed", failure });
    return { ...closed, updatedAt: conversation.updatedAt };
  }, conversation);
}
