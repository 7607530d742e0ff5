// A table that is streaming: its complete rows stay in the document and are not parsed again.
import { decorateMath } from "./decorate";
import { type Env, render } from "./parser";
import { patch } from "./patch";
import type { Row } from "./rows";
import { toFragment } from "./sanitize";

export class GrowingTable {
  private last: Node | null;

  constructor(
    /** The lines of the head, which the parser needs before any row. */
    readonly head: string,
    private readonly body: HTMLTableSectionElement,
  ) {
    this.last = body.lastElementChild;
  }

  /** Puts rows in place of the last one, which was incomplete. */
  replaceLast(rows: Row[], env: Env): void {
    const markup = rows.map(({ tokens }) => render(tokens, env)).join("");
    const fresh = toFragment(`<table><tbody>${markup}</tbody></table>`).querySelectorAll("tr");
    const shown = patch(this.body, this.last ? [this.last] : [], [...fresh]);
    for (const row of shown) decorateMath(row as HTMLElement);
    this.last = shown.at(-1) ?? null;
  }
}
