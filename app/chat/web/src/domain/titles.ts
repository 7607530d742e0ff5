// The title of a chat that a model writes: the request, and what is accepted of the answer.
import { type Conversation, path, shownAnswer } from "./conversation";
import type { ChatRequest } from "./prompt";
import { splitThinking } from "./thinking";

/** Later questions change the subject. */
const MAX_TURNS = 3;
const QUESTION = 1500;
const ANSWER = 800;
const MAX_TOKENS = 32;
const MAX_WORDS = 12;
const MAX_CHARACTERS = 80;

const INSTRUCTION =
  "Write a title for the chat below, in its language: at most six words, no quotation marks, nothing else.";

/** Whether a title of a model may replace the first question. */
export const needsTitle = ({ named, titled, turns }: Conversation): boolean =>
  !named && !titled && turns.length > 0 && turns.length <= MAX_TURNS;

/** The request for a title; null when the chat has no answer yet. */
export function titleRequest(conversation: Conversation): { request: ChatRequest; servedBy: string } | null {
  const turn = path(conversation)[0];
  const lane = turn?.lanes[0];
  if (!turn || !lane) return null;
  const answer = shownAnswer(lane);
  const text = splitThinking(answer.text, answer.reasoning).answer;
  if (!text.trim() || !turn.text.trim()) return null;
  const content = `${INSTRUCTION}\n\nQuestion: ${turn.text.slice(0, QUESTION)}\n\nAnswer: ${text.slice(0, ANSWER)}\n\nTitle:`;
  return {
    servedBy: answer.servedBy ?? lane.model,
    request: {
      model: lane.model,
      messages: [{ role: "user", content }],
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0.3,
      max_tokens: MAX_TOKENS,
      chat_template_kwargs: { enable_thinking: false },
    },
  };
}

/** The title in a model's answer; null when it is not a title. */
export function titleIn(text: string): string | null {
  const line = splitThinking(text).answer.trim().split("\n", 1)[0] ?? "";
  const title = line
    .replace(/^(?:[#>*\s-]+|title\s*:|\*\*)+/i, "")
    .replace(/^["'“”«»„*_`]+|["'“”«»*_`.]+$/g, "")
    .replace(/\s+/g, " ")
    .trim();
  const long = title.length > MAX_CHARACTERS || title.split(" ").length > MAX_WORDS;
  return /[\p{L}\p{N}]/u.test(title) && !long ? title : null;
}
