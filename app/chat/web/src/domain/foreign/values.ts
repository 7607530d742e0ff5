// Reads values of unknown form: what is missing or of another type is empty.

export type Fields = Record<string, unknown>;

export const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const fieldsOf = (value: unknown): Fields => (isObject(value) ? value : {});

export const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

export const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

export const nameOf = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);

/** Milliseconds: numbers are seconds or milliseconds since 1970, texts are ISO dates. */
export function timeOf(value: unknown): number | null {
  if (typeof value === "string") {
    const parsed = Date.parse(value);
    return Number.isNaN(parsed) ? null : Math.max(0, parsed);
  }
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) return null;
  // In seconds, this is the year 5138; in milliseconds, 1973.
  return value < 1e11 ? value * 1000 : value;
}
