// Search in the text of conversations.
import { type Conversation, shownAnswer } from "./conversation";

export interface Hit {
  id: string;
  title: string;
  updatedAt: number;
  /** Text around the first match, and the position of the match in it; null when only the title matches. */
  excerpt: { before: string; match: string; after: string } | null;
}

const AROUND = 48;

const fold = (text: string): string => text.toLocaleLowerCase();

/** The question and the displayed answers of every turn. */
function* texts(conversation: Conversation): Generator<string> {
  for (const turn of conversation.turns) {
    yield turn.text;
    for (const lane of turn.lanes) yield shownAnswer(lane).text;
  }
}

function excerptOf(text: string, words: string[]): Hit["excerpt"] {
  const folded = fold(text);
  // Folding may change the length (as for ß or İ): then offsets do not match, so return the start of the text.
  if (folded.length !== text.length) return { before: "", match: "", after: text.slice(0, 2 * AROUND) };
  const word = words.find((candidate) => folded.includes(candidate)) ?? "";
  const at = folded.indexOf(word);
  const from = Math.max(0, at - AROUND);
  return {
    before: (from > 0 ? "…" : "") + text.slice(from, at),
    match: text.slice(at, at + word.length),
    after: text.slice(at + word.length, at + word.length + AROUND),
  };
}

/** A hit when every word of the query occurs in the title or the texts; case is ignored. */
export function match(conversation: Conversation, query: string): Hit | null {
  const words = fold(query).split(/\s+/).filter(Boolean);
  if (words.length === 0) return null;
  const { id, title, updatedAt } = conversation;
  const missing = new Set(words.filter((word) => !fold(title).includes(word)));
  let excerpt: Hit["excerpt"] = null;
  for (const text of texts(conversation)) {
    const folded = fold(text);
    const found = words.filter((word) => folded.includes(word));
    if (found.length === 0) continue;
    excerpt ??= excerptOf(text, found);
    for (const word of found) missing.delete(word);
  }
  return missing.size === 0 ? { id, title, updatedAt, excerpt } : null;
}
