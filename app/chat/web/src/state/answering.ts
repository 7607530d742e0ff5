// Streaming answers: their text so far, and how to start, stop, repeat and continue them.
import { computed, effect, signal, type Signal } from "@preact/signals";
import type { Attachment } from "../domain/attachments";
import {
  type Answer,
  type AnswerState,
  type Conversation,
  type Failure,
  type Figures,
  type Turn,
  ask,
  askAgain,
  changeAnswer,
  path,
} from "../domain/conversation";
import { joinFigures, withoutRepeated } from "../domain/continuation";
import { type ChatRequest, requestFor } from "../domain/prompt";
import { splitThinking } from "../domain/thinking";
import { type ChatEvent, ChatError, streamChat } from "../gateway/chat";
import { change, current, find, keepInMemory, release, storeIntermediate } from "./chats";
import { contentsOf } from "./contents";
import { learnTokens, limitOf } from "./context";
import { pageStays, watchLeaving } from "./leaving";
import { canThink, isServed, keyRequired, readsImages, signedOut } from "./models";
import { announce } from "./notices";
import { apiKey } from "./preferences";
import { cancelTitles, writeTitle } from "./titles";

const KEEP_EVERY_MS = 1000;
const HIDDEN_FLUSH_MS = 250;
// Tokens closer together than this arrived in one chunk: their times do not measure the model.
const SHORTEST_TIMED = 0.05;

/** An answer that is streaming. The signals change at most once per frame. */
export class StreamingAnswer {
  readonly text: Signal<string>;
  readonly reasoning: Signal<string>;
  private readonly parts = computed(() => splitThinking(this.text.value, this.reasoning.value));
  readonly answerText = computed(() => this.parts.value.answer);
  readonly thinking = computed(() => this.parts.value.thinking);
  readonly hasThinking = computed(() => this.thinking.value !== "");
  readonly isThinking = computed(() => !this.parts.value.closed);
  readonly empty = computed(() => this.text.value === "" && this.reasoning.value === "");
  /** Position in the gateway's queue, 1 is next; null when not queued. */
  readonly queue = signal<number | null>(null);
  /** Whether the model is being loaded for this answer. */
  readonly loading = signal(false);
  readonly controller = new AbortController();

  servedBy: string | null = null;
  finish: string | null = null;
  promptTokens: number | null = null;
  private usage: number | null = null;
  private serverRate: number | null = null;
  private chunks = 0;
  private readonly startedAt = performance.now();
  private firstAt: number | null = null;
  private lastAt = 0;
  private pendingText = "";
  private pendingReasoning = "";
  private scheduled = false;

  constructor(
    readonly conversationId: string,
    readonly turnId: string,
    readonly model: string,
    readonly answerId: string,
    /** The answer that is continued, and the part of its text that the model receives. */
    private readonly before: { answer: Answer; partial: string } | null = null,
  ) {
    this.text = signal(before?.answer.text ?? "");
    this.reasoning = signal(before?.answer.reasoning ?? "");
  }

  /** The text that the model is asked to continue. */
  get partial(): string {
    return this.before?.partial ?? "";
  }

  take(event: ChatEvent): void {
    if (event.kind === "waiting") {
      this.queue.value = event.position;
      this.loading.value = event.loading;
    } else if (event.kind === "finish") this.finish = event.reason;
    else if (event.kind === "usage") {
      this.usage = event.tokens;
      this.promptTokens = event.promptTokens;
      this.serverRate = event.tokensPerSecond;
    } else {
      this.lastAt = performance.now();
      this.firstAt ??= this.lastAt;
      this.servedBy = event.model ?? this.servedBy;
      this.pendingText += this.chunks === 0 ? withoutRepeated(event.text, this.partial) : event.text;
      this.pendingReasoning += event.reasoning;
      this.chunks += 1;
      this.schedule();
    }
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    const flush = () => this.flush();
    if (document.hidden) setTimeout(flush, HIDDEN_FLUSH_MS);
    else requestAnimationFrame(flush);
  }

  flush(): void {
    this.scheduled = false;
    if (this.pendingText) this.text.value += this.pendingText;
    if (this.pendingReasoning) this.reasoning.value += this.pendingReasoning;
    this.pendingText = "";
    this.pendingReasoning = "";
  }

  figures(): Figures {
    const tokens = this.usage ?? this.chunks;
    const seconds = this.firstAt === null ? 0 : (this.lastAt - this.firstAt) / 1000;
    return joinFigures(this.before?.answer.figures ?? null, {
      firstTokenMs: this.firstAt === null ? null : this.firstAt - this.startedAt,
      tokens,
      tokensPerSecond: this.serverRate ?? (seconds >= SHORTEST_TIMED ? (tokens - 1) / seconds : null),
      totalMs: this.firstAt === null ? 0 : this.lastAt - this.startedAt,
    });
  }

  snapshot(state: AnswerState): Partial<Answer> {
    return {
      state,
      text: this.text.peek(),
      reasoning: this.reasoning.peek(),
      servedBy: this.servedBy,
      finish: this.finish,
      figures: this.figures(),
    };
  }
}

/** By the id of the answer. */
export const streamingAnswers = signal<ReadonlyMap<string, StreamingAnswer>>(new Map());

const inConversation = (id: string): StreamingAnswer[] =>
  [...streamingAnswers.value.values()].filter((one) => one.conversationId === id);

/** Whether the displayed conversation has a streaming answer. */
export const answering = computed(() => inConversation(current.value.id).length > 0);

/** The conversations with streaming answers. */
export const answeringIds = computed(
  () => new Set([...streamingAnswers.value.values()].map((one) => one.conversationId)),
);

effect(() => watchLeaving(streamingAnswers.value.size > 0));

function track(one: StreamingAnswer): void {
  keepInMemory(one.conversationId);
  streamingAnswers.value = new Map(streamingAnswers.peek()).set(one.answerId, one);
}

function untrack(one: StreamingAnswer): void {
  const rest = new Map(streamingAnswers.peek());
  rest.delete(one.answerId);
  streamingAnswers.value = rest;
  if (inConversation(one.conversationId).length === 0) release(one.conversationId);
}

async function run(one: StreamingAnswer): Promise<void> {
  if (!find(one.conversationId)) return;
  cancelTitles();
  track(one);
  const saver = setInterval(() => storeProgress(one), KEEP_EVERY_MS);
  const outcome = await receiveFitting(one);
  clearInterval(saver);
  if (outcome.failure) await pageStays();
  one.flush();
  change(one.conversationId, (now) =>
    changeAnswer(now, one.answerId, { ...one.snapshot(outcome.state), failure: outcome.failure }),
  );
  announce(announcementOf(one, outcome.state));
  untrack(one);
  if (outcome.state === "done" && inConversation(one.conversationId).length === 0) void writeTitle(one.conversationId);
}

interface Outcome {
  state: AnswerState;
  failure: Failure | null;
}

/** Sends what should fit; if the server counts more tokens than was estimated, sends less once more. */
async function receiveFitting(one: StreamingAnswer): Promise<Outcome> {
  const contents = await contentsOf(path(find(one.conversationId)!));
  const build = (): ChatRequest =>
    requestFor(find(one.conversationId)!, one.turnId, one.model, {
      partial: one.partial,
      limit: limitOf(one.model),
      contents,
      vision: readsImages(one.model) !== false,
      thinking: canThink(one.model),
    });
  const first = build();
  const outcome = await receive(one, first);
  if (outcome.failure?.kind !== "full") return outcome;
  const second = build();
  return second.messages.length < first.messages.length ? receive(one, second) : outcome;
}

async function receive(one: StreamingAnswer, request: ChatRequest): Promise<Outcome> {
  const { signal: abort } = one.controller;
  try {
    for await (const event of streamChat(request, { key: apiKey.peek(), signal: abort })) one.take(event);
    if (one.promptTokens !== null) learnTokens(one.model, request.messages, one.promptTokens);
    return { state: "done", failure: null };
  } catch (error) {
    if (abort.aborted) return { state: "stopped", failure: null };
    if (!(error instanceof ChatError)) {
      console.error(error);
      return {
        state: "failed",
        failure: { kind: "lost", message: "The page failed to read the answer.", retryAfter: null },
      };
    }
    if (error.promptTokens !== null) learnTokens(one.model, request.messages, error.promptTokens);
    if (error.failure.kind === "unauthorized") keyRequired.value = true;
    if (error.failure.kind === "signed-out") signedOut.value = true;
    return { state: "failed", failure: error.failure };
  }
}

/** Stores incomplete answers, so that a reload keeps the text received so far. */
function storeProgress(one: StreamingAnswer): void {
  const conversation = find(one.conversationId);
  if (!conversation) return;
  const all = inConversation(one.conversationId);
  storeIntermediate(
    all.reduce((now, each) => changeAnswer(now, each.answerId, each.snapshot("streaming")), conversation),
  );
}

function announcementOf(one: StreamingAnswer, state: AnswerState): string {
  // A blind comparison must not announce the model to screen readers.
  const whose = find(one.conversationId)?.blind ? "An answer" : one.model;
  if (state === "stopped") return `${whose} was stopped.`;
  if (state === "failed") return `${whose} failed.`;
  return `${whose} finished.`;
}

function begin(conversation: Conversation, turn: Turn): void {
  for (const lane of turn.lanes) {
    const answer = lane.answers.at(-1)!;
    void run(new StreamingAnswer(conversation.id, turn.id, lane.model, answer.id));
  }
}

/** Sends a question at the end of the displayed conversation. */
export function send(text: string, attachments: Attachment[] = []): void {
  const { id, models } = current.peek();
  const parent = path(current.peek()).at(-1)?.id ?? null;
  sendAfter(id, parent, { text, attachments }, models);
}

interface Question {
  text: string;
  attachments?: Attachment[] | undefined;
}

function sendAfter(id: string, parent: string | null, { text, attachments }: Question, models: string[]): void {
  let asked: Turn | null = null;
  change(id, (now) => {
    const { conversation, turn } = ask(now, parent, text, models, attachments);
    asked = turn;
    return conversation;
  });
  if (asked) begin(current.peek(), asked);
}

/** Sends an edited question as a new version of `turn`; the first version and its answers stay available. */
export function resend(turn: Turn, text: string, attachments: Attachment[]): void {
  const { id, models } = current.peek();
  sendAfter(id, turn.parent, { text, attachments }, models.length > 0 ? models : turn.lanes.map((lane) => lane.model));
}

/**
 * Requests another answer of `model`. At the end of the conversation that adds an answer; before the end
 * it adds a new version of the turn, because the turns that follow depend on the old answer.
 */
export function regenerate(turn: Turn, model: string): void {
  const { id, models: chosen } = current.peek();
  const gone = chosen.length > 0 && turn.lanes.some((lane) => !isServed(lane.model));
  if (gone || path(current.peek()).at(-1)?.id !== turn.id) {
    // Models of an imported chat are not here: the chosen ones answer.
    sendAfter(id, turn.parent, turn, gone ? chosen : turn.lanes.map((lane) => lane.model));
    return;
  }
  let again: Answer | null = null;
  change(id, (now) => {
    const { conversation, answer } = askAgain(now, turn.id, model);
    again = answer;
    return conversation;
  });
  if (again) void run(new StreamingAnswer(id, turn.id, model, (again as Answer).id));
}

/** Continues a cut, stopped or too short answer. */
export function continueAnswer(turn: Turn, model: string, answer: Answer): void {
  const { id } = current.peek();
  const partial = splitThinking(answer.text, answer.reasoning).answer;
  change(id, (now) => changeAnswer(now, answer.id, { state: "streaming", failure: null, finish: null }));
  void run(new StreamingAnswer(id, turn.id, model, answer.id, { answer, partial }));
}

export function stop(answerId: string): void {
  streamingAnswers.peek().get(answerId)?.controller.abort();
}

/** Stops every answer of all conversations. */
export function stopEverything(): void {
  for (const one of streamingAnswers.peek().values()) one.controller.abort();
}

/** Stops every answer of the displayed conversation. */
export function stopAll(): void {
  for (const one of inConversation(current.peek().id)) one.controller.abort();
}
