// The limits of sampling parameters. The gateway accepts these ranges, and larger ones where nobody needs them.
import type { Sampling } from "./conversation";

export interface Range {
  min: number;
  max: number;
  /** `any` allows fractions. */
  step: 1 | "any";
}

type NumberName = Exclude<keyof Sampling, "stop" | "effort">;

const MOST_TOKENS = 2 ** 31 - 1;

export const RANGES: Record<NumberName, Range> = {
  temperature: { min: 0, max: 2, step: "any" },
  topP: { min: 0, max: 1, step: "any" },
  topK: { min: 0, max: MOST_TOKENS, step: 1 },
  minP: { min: 0, max: 1, step: "any" },
  // Zero would divide by zero.
  repeatPenalty: { min: 0.1, max: 10, step: "any" },
  maxTokens: { min: 1, max: MOST_TOKENS, step: 1 },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 },
};

export const MAX_STOPS = 64;
export const MAX_STOP_LENGTH = 512;

/** The lines of a field as stop words: `\\n` is a line break. */
export const stopsFrom = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.replaceAll("\\n", "\n"))
    .filter((line) => line !== "");

export const stopsToText = (stops: string[]): string => stops.map((stop) => stop.replaceAll("\n", "\\n")).join("\n");

/** What is wrong with stop words; null when they can be used. */
export function stopsProblem(stops: string[]): string | null {
  if (stops.length > MAX_STOPS) return `Enter at most ${MAX_STOPS} stop words.`;
  if (stops.some(({ length }) => length > MAX_STOP_LENGTH)) {
    return `Enter at most ${MAX_STOP_LENGTH} characters in each line.`;
  }
  return null;
}
