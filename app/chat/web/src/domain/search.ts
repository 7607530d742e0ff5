// Search in the text of conversations.
import { type Conversation, shownAnswer } from "./conversation";

export interface Hit {
  id: string;
  title: string;
  updatedAt: number;
  /** Text around the first match, and the position of the match in it; null when only the title matches. */
  excerpt: { before: string; match: string; after: string } | null;
  /** The turn of the first match in the text. */
  turnId: string | null;
}

const AROUND = 48;

const MARKS = /\p{M}/gu;
const folded = new Map<string, string>();

/** One letter in lower case without accents; the letter itself when that would change its length. */
function foldLetter(letter: string): string {
  let plain = folded.get(letter);
  if (plain === undefined) {
    plain = letter.normalize("NFD").replace(MARKS, "").toLowerCase();
    if (plain.length !== letter.length) plain = letter;
    folded.set(letter, plain);
  }
  return plain;
}

/** Without case and accents, and as long as the text, so that positions are the same in both. */
export const fold = (text: string): string =>
  text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()).replace(/[^\0-\x7f]/gu, foldLetter);

/** The question and the displayed answers of every turn. */
function* texts(conversation: Conversation): Generator<{ turnId: string; text: string }> {
  for (const turn of conversation.turns) {
    yield { turnId: turn.id, text: turn.text };
    for (const lane of turn.lanes) yield { turnId: turn.id, text: shownAnswer(lane).text };
  }
}

function excerptOf(text: string, words: string[]): Hit["excerpt"] {
  const plain = fold(text);
  const word = words.find((candidate) => plain.includes(candidate)) ?? "";
  const at = plain.indexOf(word);
  const from = Math.max(0, at - AROUND);
  return {
    before: (from > 0 ? "…" : "") + text.slice(from, at),
    match: text.slice(at, at + word.length),
    after: text.slice(at + word.length, at + word.length + AROUND),
  };
}

export const wordsOf = (query: string): string[] => fold(query.normalize("NFC")).split(/\s+/).filter(Boolean);

/** A hit when every word of the query occurs in the title or the texts; case and accents are ignored. */
export function match(conversation: Conversation, query: string): Hit | null {
  const words = wordsOf(query);
  if (words.length === 0) return null;
  const { id, title, updatedAt } = conversation;
  const missing = new Set(words.filter((word) => !fold(title).includes(word)));
  let excerpt: Hit["excerpt"] = null;
  let first: string | null = null;
  for (const { turnId, text } of texts(conversation)) {
    const plain = fold(text);
    const found = words.filter((word) => plain.includes(word));
    if (found.length === 0) continue;
    excerpt ??= excerptOf(text, found);
    first ??= turnId;
    for (const word of found) missing.delete(word);
  }
  return missing.size === 0 ? { id, title, updatedAt, excerpt: excerptUnless(title, excerpt), turnId: first } : null;
}

/** The title of a short chat is its first question: the excerpt would repeat it. */
function excerptUnless(title: string, excerpt: Hit["excerpt"]): Hit["excerpt"] {
  if (!excerpt) return null;
  const { before, match: found, after } = excerpt;
  return before + found + after === title ? null : excerpt;
}
