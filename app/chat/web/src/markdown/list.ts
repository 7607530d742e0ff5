// A list as markup, item by item: while it grows, only the changed items are sanitised again.
import type { Token } from "markdown-it";
import { type Block, type Env, childrenOf, render } from "./parser";

export interface ListMarkup {
  open: string;
  items: string[];
}

const LISTS = ["bullet_list_open", "ordered_list_open"];

/** Null when the block is not a list. */
export function listOf({ tokens }: Block, env: Env): ListMarkup | null {
  const open = tokens[0] as Token;
  if (!LISTS.includes(open.type)) return null;
  const items = childrenOf(tokens).map((item) => render(item, env).trim());
  return { open: render([open], env).trim(), items };
}

/** The number of items at the start that are equal. */
export function sameItems(one: ListMarkup, other: ListMarkup): number {
  const changed = one.items.findIndex((markup, at) => markup !== other.items[at]);
  return changed < 0 ? one.items.length : changed;
}
