// Builds the request for one answer.
import { type Contents, type Part, contentOf, tokensOf } from "./attachments";
import { type Limit, countOmitted } from "./context";
import { type Conversation, type Effort, type Sampling, type Turn, path, shownAnswer } from "./conversation";
import { summarizedTurns, withSummary } from "./summary";
import { splitThinking } from "./thinking";

export interface Message {
  role: "system" | "user" | "assistant";
  content: string | Part[];
}

export interface ChatRequest {
  model: string;
  messages: Message[];
  stream: true;
  stream_options: { include_usage: true };
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
  seed?: number;
  top_k?: number;
  min_p?: number;
  repeat_penalty?: number;
  repetition_penalty?: number;
  stop?: string[];
  reasoning_effort?: Effort;
  chat_template_kwargs?: { enable_thinking: boolean };
}

/** The answer of a turn that `model` receives as history: its own, else the first one that is not empty. */
function remembered(turn: Turn, model: string): string {
  const lane = turn.lanes.find((candidate) => candidate.model === model) ?? turn.lanes[0];
  if (!lane) return "";
  const answer = shownAnswer(lane);
  return splitThinking(answer.text, answer.reasoning).answer;
}

/** A question and its answer, as messages. */
export interface Exchange {
  turnId: string;
  messages: Message[];
  /** The estimated tokens of the attachments, which are not in the messages yet. */
  attached: number;
}

/** The exchanges up to and including the question `turnId`, or all of them. */
export function exchangesFor(conversation: Conversation, turnId: string | null, model: string): Exchange[] {
  const turns = path(conversation);
  const last = turns.findIndex(({ id }) => id === turnId);
  return turns.slice(0, last < 0 ? undefined : last + 1).map((turn) => {
    const content = turn.id === turnId ? "" : remembered(turn, model);
    const question: Message = { role: "user", content: turn.text };
    return {
      turnId: turn.id,
      messages: content ? [question, { role: "assistant", content }] : [question],
      attached: tokensOf(turn.attachments),
    };
  });
}

/** The exchanges and the system prompt, with the summary in place of those that it replaces. */
export function historyFor(
  conversation: Conversation,
  turnId: string | null,
  model: string,
): { exchanges: Exchange[]; system: string; replaced: number } {
  const { system, summary } = conversation;
  const exchanges = exchangesFor(conversation, turnId, model);
  const replaced = summarizedTurns(conversation);
  // A question among the replaced ones is answered without what came after it.
  if (!summary || replaced === 0 || (turnId !== null && exchanges.length <= replaced)) {
    return { exchanges, system, replaced: 0 };
  }
  return { exchanges: exchanges.slice(replaced), system: withSummary(system, summary), replaced };
}

/** What is sent with a question: `partial` is the text of a cut answer, `limit` what the model accepts. */
export interface Scope {
  partial?: string;
  limit?: Limit | null;
  /** The contents of the attachments. */
  contents?: Contents;
  /** Whether the model can read images. */
  vision?: boolean;
  /** Whether the model can think. */
  thinking?: boolean;
}

/** The gateway limits the size of a request: only the newest images are sent. */
const MAX_IMAGE_CHARACTERS = 6_000_000;

/** Puts the attachments into the questions. */
export function withAttachments(conversation: Conversation, exchanges: Exchange[], scope: Scope): Exchange[] {
  const { contents = new Map<string, string>(), vision = true } = scope;
  const turns = new Map(conversation.turns.map((turn) => [turn.id, turn]));
  let room = MAX_IMAGE_CHARACTERS;
  return exchanges
    .toReversed()
    .map((exchange) => {
      const { text, attachments = [] } = turns.get(exchange.turnId)!;
      if (attachments.length === 0) return exchange;
      room -= attachments.reduce(
        (sum, { id, kind }) => sum + (kind === "image" ? (contents.get(id)?.length ?? 0) : 0),
        0,
      );
      const content = contentOf(text, attachments, contents, vision && room >= 0);
      return { ...exchange, messages: [{ role: "user" as const, content }, ...exchange.messages.slice(1)] };
    })
    .toReversed();
}

/**
 * The messages up to and including the question `turnId`, without the oldest ones that do not fit. A cut
 * answer is sent as the last assistant message: llama-server continues it.
 */
export function messagesFor(conversation: Conversation, turnId: string, model: string, scope: Scope = {}): Message[] {
  const { partial = "", limit = null } = scope;
  const { sampling, sendAll } = conversation;
  const { exchanges, system } = historyFor(conversation, turnId, model);
  if (partial) exchanges.at(-1)?.messages.push({ role: "assistant", content: partial });
  const omitted = limit && !sendAll ? countOmitted(exchanges, system, limit, sampling.maxTokens) : 0;
  const sent = withAttachments(conversation, exchanges.slice(omitted), scope);
  const messages = sent.flatMap((exchange) => exchange.messages);
  return system.trim() ? [{ role: "system", content: system }, ...messages] : messages;
}

/** The fields for the sampling parameters; each name is that of a server which reads it. */
function samplingFields(sampling: Sampling): Partial<ChatRequest> {
  const { temperature, topP, maxTokens, seed, topK = null, minP = null, repeatPenalty = null, stop = [] } = sampling;
  return {
    ...(temperature !== null && { temperature }),
    ...(topP !== null && { top_p: topP }),
    ...(topK !== null && { top_k: topK }),
    ...(minP !== null && { min_p: minP }),
    // llama-server's name, and vLLM's.
    ...(repeatPenalty !== null && { repeat_penalty: repeatPenalty, repetition_penalty: repeatPenalty }),
    ...(maxTokens !== null && { max_tokens: maxTokens }),
    ...(seed !== null && { seed }),
    ...(stop.length > 0 && { stop }),
  };
}

/** How long the model thinks. */
function effortFields({ effort = null }: Sampling, { thinking = false, partial }: Scope): Partial<ChatRequest> {
  // llama-server refuses to continue a message with a template that lets the model think first.
  if (partial) return { chat_template_kwargs: { enable_thinking: false } };
  if (effort === null || !thinking) return {};
  return {
    reasoning_effort: effort,
    // Read by templates that know thinking as on or off.
    chat_template_kwargs: { enable_thinking: effort !== "none" },
  };
}

export function requestFor(conversation: Conversation, turnId: string, model: string, scope: Scope = {}): ChatRequest {
  return {
    model,
    messages: messagesFor(conversation, turnId, model, scope),
    stream: true,
    stream_options: { include_usage: true },
    ...samplingFields(conversation.sampling),
    ...effortFields(conversation.sampling, scope),
  };
}
