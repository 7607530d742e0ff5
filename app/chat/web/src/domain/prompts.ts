// The user's own prompts: texts with {{variables}}, found by their title or text.
import * as v from "valibot";

export interface Prompt {
  id: string;
  title: string;
  text: string;
  updatedAt: number;
}

export const MAX_PROMPT_TITLE = 100;
export const MAX_PROMPT_TEXT = 20_000;
const MAX_NAME = 40;
const MAX_VARIABLES = 20;

export const promptSchema = v.object({
  id: v.pipe(v.string(), v.regex(/^[\w-]{1,64}$/)),
  title: v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_PROMPT_TITLE)),
  text: v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_PROMPT_TEXT)),
  updatedAt: v.pipe(v.number(), v.finite(), v.minValue(0)),
});

const VARIABLE = /\{\{\s*([\p{L}\p{N}_ -]{1,60}?)\s*\}\}/gu;

/** The names in a text, each once, in the order of the text. */
export const variablesIn = (text: string): string[] =>
  [...new Set([...text.matchAll(VARIABLE)].map(([, name]) => name!.slice(0, MAX_NAME)))].slice(0, MAX_VARIABLES);

/** Puts values in; a variable without a value stays. */
export const filled = (text: string, values: ReadonlyMap<string, string>): string =>
  text.replace(VARIABLE, (whole, name: string) => values.get(name.slice(0, MAX_NAME)) || whole);

/** Without case and accents. */
const plain = (text: string): string => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** Prompts with every word of the query; those with the words in the title first. */
export function matching(prompts: Prompt[], query: string): Prompt[] {
  const words = plain(query).split(/\s+/).filter(Boolean);
  const has = (text: string): boolean => words.every((word) => plain(text).includes(word));
  const inTitle = prompts.filter(({ title }) => has(title));
  const inText = prompts.filter((prompt) => !inTitle.includes(prompt) && has(`${prompt.title} ${prompt.text}`));
  return [...inTitle, ...inText];
}

/**
 * What is typed after a slash at the start of the message, up to the caret; null when the message does not begin
 * with one. A path (`/etc/hosts`) is a message.
 */
export function slashQuery(text: string, caret: number): string | null {
  if (!text.startsWith("/") || caret < 1) return null;
  const query = text.slice(1, caret);
  return /[\n/]/.test(query) ? null : query;
}
