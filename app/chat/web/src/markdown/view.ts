// Renders growing Markdown. Complete blocks are built once; only the last one is rebuilt.
import type { Token } from "markdown-it";
import { addCopyButtons, decorateCode, decorateMath } from "./decorate";
import { decorateDiagrams } from "./diagrams";
import { type Block, blocksOf, hasFootnotes, parser } from "./parser";
import { toFragment } from "./sanitize";

/** The offset at which a line begins. */
function offsetOf(text: string, line: number): number {
  let offset = 0;
  for (let count = 0; count < line; count += 1) offset = text.indexOf("\n", offset) + 1;
  return offset;
}

export class MarkdownView {
  /** The part of the text whose blocks are final. */
  private settled = "";
  private complete = false;
  /** Link reference definitions, shared by all blocks. */
  private env: Record<string, unknown> = {};
  private tail: Node[] = [];
  /** The code of a streaming block: it grows in place, so that selection and scroll position stay. */
  private growing: { text: Text; language: string } | null = null;

  constructor(private readonly container: HTMLElement) {}

  update(text: string, complete: boolean): void {
    // A complete text that continues may continue inside its last block.
    const goesOn = this.complete && text !== this.settled;
    const notes = complete && text !== this.settled && hasFootnotes(text);
    if (goesOn || notes || !text.startsWith(this.settled)) this.reset();
    this.complete = complete;
    const rest = text.slice(this.settled.length);
    // The parser collects footnotes here: until the text is complete, each part has its own.
    this.env["footnotes"] = undefined;
    const found = blocksOf(rest, this.env);
    const blocks = complete ? found : found.filter((block) => block.tokens[0]?.type !== "footnote_block_open");
    const last = complete ? undefined : blocks.pop();
    if (blocks.length === 0 && last && this.grow(last)) return;

    for (const node of this.tail) node.parentNode?.removeChild(node);
    this.tail = [];
    this.growing = null;
    if (blocks.length > 0) this.append(blocks, true);
    this.settled = complete ? text : text.slice(0, this.settled.length + offsetOf(rest, last?.line ?? 0));
    if (last) this.tail = this.append([last], false);
  }

  private reset(): void {
    this.container.replaceChildren();
    this.settled = "";
    this.env = {};
    this.tail = [];
    this.growing = null;
  }

  /** Appends blocks; returns their nodes. */
  private append(blocks: Block[], finished: boolean): Node[] {
    const tokens = blocks.flatMap((block) => block.tokens);
    const fragment = toFragment(parser.renderer.render(tokens, parser.options, this.env));
    const nodes = [...fragment.childNodes];
    const code = tokens[0]?.type === "fence" ? fragment.querySelector("code") : null;
    addCopyButtons(fragment);
    decorateMath(fragment);
    if (finished) decorateCode(fragment);
    if (finished) decorateDiagrams(fragment);
    this.container.append(fragment);
    if (!finished && code) this.growing = this.watch(code, tokens[0]!);
    return nodes;
  }

  private watch(code: HTMLElement, token: Token): { text: Text; language: string } {
    if (!code.firstChild) code.append("");
    return { text: code.firstChild as Text, language: token.info };
  }

  private grow(block: Block): boolean {
    const token = block.tokens[0];
    if (!this.growing || token?.type !== "fence" || token.info !== this.growing.language) return false;
    const { text } = this.growing;
    if (!token.content.startsWith(text.data)) return false;
    text.appendData(token.content.slice(text.data.length));
    return true;
  }
}
