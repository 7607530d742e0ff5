// Builds the request for one answer.
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

/**
 * The messages up to and including the question `turnId`. `partial` is the text of a cut
 * answer: sent as the last assistant message, llama-server continues it.
 */
export function messagesFor(conversation: Conversation, turnId: string, model: string, partial = ""): Message[] {
  const messages: Message[] = [];
  if (conversation.system.trim()) messages.push({ role: "system", content: conversation.system });
  for (const turn of path(conversation)) {
    messages.push({ role: "user", content: turn.text });
    if (turn.id === turnId) break;
    const content = remembered(turn, model);
    if (content) messages.push({ role: "assistant", content });
  }
  if (partial) messages.push({ role: "assistant", content: partial });
  return messages;
}

export function requestFor(conversation: Conversation, turnId: string, model: string, partial = ""): ChatRequest {
  const { temperature, topP, maxTokens, seed } = conversation.sampling;
  return {
    model,
    messages: messagesFor(conversation, turnId, model, partial),
    stream: true,
    stream_options: { include_usage: true },
    ...(temperature !== null && { temperature }),
    ...(topP !== null && { top_p: topP }),
    ...(maxTokens !== null && { max_tokens: maxTokens }),
    ...(seed !== null && { seed }),
    // llama-server refuses to continue a message with a template that lets the model think first.
    ...(partial && { chat_template_kwargs: { enable_thinking: false } }),
  };
}
