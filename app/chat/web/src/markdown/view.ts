// Renders growing Markdown. Complete blocks are built once; only the last one changes.
import { orderHeadings } from "./headings";
import { type Block, type Env, blocksOf, hasFootnotes } from "./parser";
import { isTable, rowsOf } from "./rows";
import { GrowingTable } from "./table";
import { Tail } from "./tail";

/** The offset at which a line begins. */
function offsetOf(text: string, line: number): number {
  let offset = 0;
  for (let count = 0; count < line; count += 1) offset = text.indexOf("\n", offset) + 1;
  return offset;
}

export class MarkdownView {
  /** The part of the text that is not parsed again. */
  private settled = "";
  private complete = false;
  /** Link reference definitions, shared by all blocks. */
  private env: Env = {};
  private readonly tail: Tail;
  /** The table of the last block: its complete rows are settled. */
  private table: GrowingTable | null = null;

  constructor(private readonly container: HTMLElement) {
    this.tail = new Tail(container);
  }

  update(text: string, complete: boolean): void {
    // A complete text that continues may continue inside its last block.
    const goesOn = this.complete && text !== this.settled;
    const notes = complete && text !== this.settled && hasFootnotes(text);
    if (goesOn || notes || !text.startsWith(this.settled)) this.reset();
    this.complete = complete;
    // Rows can be parsed only behind the head of their table.
    const head = this.table?.head ?? "";
    const rest = head + text.slice(this.settled.length);
    const upTo = (line: number): string => text.slice(0, this.settled.length + offsetOf(rest, line) - head.length);
    const blocks = this.parse(rest);
    if (this.table) {
      const rows = rowsOf(blocks.shift()!);
      this.table.replaceLast(rows, this.env);
      if (blocks.length === 0 && !complete) {
        this.settled = upTo(rows.at(-1)!.line);
        return;
      }
      this.table = null;
      this.tail.settle();
    }
    const last = complete ? undefined : blocks.pop();
    if (blocks.length > 0) {
      this.tail.show(blocks, this.env);
      this.tail.settle();
    }
    this.settled = complete ? text : upTo(last?.line ?? 0);
    if (complete) orderHeadings(this.container);
    if (!last) return;
    this.tail.show([last], this.env);
    this.beginTable(last, text);
  }

  private parse(text: string): Block[] {
    // The parser collects footnotes here: until the text is complete, each part has its own.
    this.env["footnotes"] = undefined;
    const found = blocksOf(text, this.env);
    return this.complete ? found : found.filter((block) => block.tokens[0]?.type !== "footnote_block_open");
  }

  private beginTable(block: Block, text: string): void {
    const row = isTable(block) ? rowsOf(block).at(-1) : undefined;
    if (!row) return;
    const rest = text.slice(this.settled.length);
    const head = rest.slice(0, offsetOf(rest, 2));
    this.table = new GrowingTable(head, this.tail.element!.querySelector("tbody")!);
    this.settled = text.slice(0, this.settled.length + offsetOf(rest, row.line - block.line));
  }

  private reset(): void {
    this.container.replaceChildren();
    this.settled = "";
    this.env = {};
    this.tail.clear();
    this.table = null;
  }
}
