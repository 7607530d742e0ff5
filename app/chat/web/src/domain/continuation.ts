// Joins the parts of an answer that was continued.
import type { Figures } from "./conversation";

/**
 * The new text in the first delta of a continued answer. llama-server repeats the text that it continues
 * in its first delta; other servers send new text only. Later deltas are never checked: a model that
 * repeats itself does not send that much text in one delta.
 */
export const withoutRepeated = (delta: string, partial: string): string =>
  partial !== "" && delta.startsWith(partial) ? delta.slice(partial.length) : delta;

const seconds = ({ tokens, tokensPerSecond }: Figures): number =>
  tokensPerSecond ? Math.max(0, tokens - 1) / tokensPerSecond : 0;

/** The figures of the whole answer: `first` up to the cut, `rest` after it. */
export function joinFigures(first: Figures | null, rest: Figures): Figures {
  if (!first) return rest;
  const tokens = first.tokens + rest.tokens;
  const spent = seconds(first) + seconds(rest);
  return {
    firstTokenMs: first.firstTokenMs ?? rest.firstTokenMs,
    tokens,
    tokensPerSecond: spent > 0 ? (tokens - 1) / spent : (rest.tokensPerSecond ?? first.tokensPerSecond),
    totalMs: first.totalMs + rest.totalMs,
  };
}
