// Builds the request for one answer.
import { type Limit, countOmitted } from "./context";
import { type Conversation, type Turn, path, shownAnswer } from "./conversation";
import { splitThinking } from "./thinking";

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
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
}

/** The exchanges up to and including the question `turnId`, or all of them. */
export function exchangesFor(conversation: Conversation, turnId: string | null, model: string): Exchange[] {
  const turns = path(conversation);
  const last = turns.findIndex(({ id }) => id === turnId);
  return turns.slice(0, last < 0 ? undefined : last + 1).map((turn) => {
    const content = turn.id === turnId ? "" : remembered(turn, model);
    const question: Message = { role: "user", content: turn.text };
    return { turnId: turn.id, messages: content ? [question, { role: "assistant", content }] : [question] };
  });
}

/** What is sent with a question: `partial` is the text of a cut answer, `limit` what the model accepts. */
export interface Scope {
  partial?: string;
  limit?: Limit | null;
}

/**
 * The messages up to and including the question `turnId`, without the oldest ones that do not fit. A cut
 * answer is sent as the last assistant message: llama-server continues it.
 */
export function messagesFor(conversation: Conversation, turnId: string, model: string, scope: Scope = {}): Message[] {
  const { partial = "", limit = null } = scope;
  const { system, sampling, sendAll } = conversation;
  const exchanges = exchangesFor(conversation, turnId, model);
  if (partial) exchanges.at(-1)?.messages.push({ role: "assistant", content: partial });
  const omitted = limit && !sendAll ? countOmitted(exchanges, system, limit, sampling.maxTokens) : 0;
  const messages = exchanges.slice(omitted).flatMap((exchange) => exchange.messages);
  return system.trim() ? [{ role: "system", content: system }, ...messages] : messages;
}

export function requestFor(conversation: Conversation, turnId: string, model: string, scope: Scope = {}): ChatRequest {
  const { temperature, topP, maxTokens, seed } = conversation.sampling;
  return {
    model,
    messages: messagesFor(conversation, turnId, model, scope),
    stream: true,
    stream_options: { include_usage: true },
    ...(temperature !== null && { temperature }),
    ...(topP !== null && { top_p: topP }),
    ...(maxTokens !== null && { max_tokens: maxTokens }),
    ...(seed !== null && { seed }),
    // llama-server refuses to continue a message with a template that lets the model think first.
    ...(scope.partial && { chat_template_kwargs: { enable_thinking: false } }),
  };
}
