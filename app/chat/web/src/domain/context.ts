// How much of a conversation fits in the context of a model.
import type { Exchange, Message } from "./prompt";

/** Latin text has about four characters per token; Chinese, Japanese and Korean about one. */
const LATIN = 3.6;
const WIDE = /[\u2e80-\u{3ffff}]/gu;
/** The template of a model adds a few tokens to each message. */
const PER_MESSAGE = 6;
/** The part of the context that is kept for the answer, unless a shorter answer was chosen. */
const FOR_ANSWER = 1 / 4;

/** What a model accepts. */
export interface Limit {
  /** Tokens of the question and the answer together. */
  context: number;
  /** The model's tokens per estimated token. */
  factor: number;
}

export function estimateTokens(text: string): number {
  const wide = text.match(WIDE)?.length ?? 0;
  return Math.ceil(wide + (text.length - wide) / LATIN);
}

/** Images are not counted. */
const textOf = (content: Message["content"]): string =>
  typeof content === "string" ? content : content.map((part) => (part.type === "text" ? part.text : "")).join("");

export const estimateMessages = (messages: Message[]): number =>
  messages.reduce((total, { content }) => total + PER_MESSAGE + estimateTokens(textOf(content)), 0);

export const estimateExchange = ({ messages, attached }: Exchange): number => estimateMessages(messages) + attached;

/** How many of the oldest exchanges do not fit. The last one is always sent. */
export function countOmitted(exchanges: Exchange[], system: string, limit: Limit, maxTokens: number | null): number {
  const { context, factor } = limit;
  const room = context - Math.min(maxTokens ?? Infinity, Math.floor(context * FOR_ANSWER));
  const sizes = exchanges.map((exchange) => factor * estimateExchange(exchange));
  let total = sizes.reduce((sum, size) => sum + size, factor * estimateTokens(system));
  let omitted = 0;
  while (omitted < exchanges.length - 1 && total > room) {
    total -= sizes[omitted]!;
    omitted += 1;
  }
  return omitted;
}
