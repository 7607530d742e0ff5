// A summary that is sent in place of the oldest messages.
import { estimateTokens } from "./context";
import { type Conversation, path } from "./conversation";
import type { Exchange } from "./prompt";

export interface Summary {
  /** The last turn that it replaces. */
  upTo: string;
  text: string;
}

/** How many of the displayed turns the summary replaces; 0 when it belongs to another branch. */
export function summarizedTurns(conversation: Conversation): number {
  const { summary } = conversation;
  return summary ? path(conversation).findIndex(({ id }) => id === summary.upTo) + 1 : 0;
}

const HEADING = "Summary of the earlier part of this chat:";

export const withSummary = (system: string, summary: Summary): string =>
  [system.trim(), `${HEADING}\n${summary.text.trim()}`].filter(Boolean).join("\n\n");

export const SUMMARY_TOKENS = 500;

const INSTRUCTION =
  "Summarize this part of a chat in at most 250 words, so that the chat can go on without it. Keep names, numbers, " +
  "decisions, code that is still needed and open questions. Write in the language of the chat, and nothing else.";

/** The request for a summary of a part, after the summary of the parts before it. */
export function summaryPrompt(before: string, part: string): string {
  const earlier = before ? `What was before it, in short:\n${before}\n\n` : "";
  return `${INSTRUCTION}\n\n${earlier}The part of the chat:\n\n${part}`;
}

const NAMES = { system: "System", user: "User", assistant: "Assistant" };

/** The text of the messages, in parts of at most `tokens` each. A longer message is cut. */
export function partsOf(exchanges: Exchange[], tokens: number): string[] {
  const texts = exchanges.flatMap(({ messages }) =>
    messages.map(({ role, content }) => `${NAMES[role]}: ${typeof content === "string" ? content : ""}`),
  );
  const parts: string[] = [];
  let room = 0;
  for (const text of texts) {
    const fitting = cut(text, tokens);
    const size = estimateTokens(fitting);
    if (parts.length === 0 || size > room) {
      parts.push(fitting);
      room = tokens - size;
    } else {
      parts[parts.length - 1] += `\n\n${fitting}`;
      room -= size;
    }
  }
  return parts;
}

function cut(text: string, tokens: number): string {
  const size = estimateTokens(text);
  return size <= tokens ? text : `${text.slice(0, Math.floor((text.length * tokens) / size) - 1)}…`;
}
