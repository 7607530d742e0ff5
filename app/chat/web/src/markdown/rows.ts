// The rows of a parsed table.
import type { Token } from "markdown-it";
import type { Block } from "./parser";

export interface Row {
  tokens: Token[];
  /** Counted as the line of the block. */
  line: number;
}

/** The rows below the head of a table. */
export function rowsOf({ tokens, line }: Block): Row[] {
  const rows: Row[] = [];
  const first = tokens[0]?.map?.[0] ?? 0;
  for (const token of tokens.slice(tokens.findIndex(({ type }) => type === "thead_close"))) {
    if (token.type === "tr_open") rows.push({ tokens: [], line: line + token.map![0] - first });
    if (token.type === "tbody_close") break;
    rows.at(-1)?.tokens.push(token);
  }
  return rows;
}

export const isTable = (block: Block | undefined): boolean => block?.tokens[0]?.type === "table_open";
