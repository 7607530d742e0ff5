// The last block of a streaming text, which changes in place.
import { addButtons, decorateCode, decorateMath } from "./decorate";
import { decorateDiagrams } from "./diagrams";
import { type ListMarkup, listOf, sameItems } from "./list";
import { type Block, type Env, render } from "./parser";
import { patch } from "./patch";
import { toFragment } from "./sanitize";

export class Tail {
  private nodes: Node[] = [];
  private code: { text: Text; language: string } | null = null;
  private list: ListMarkup | null = null;

  constructor(private readonly container: HTMLElement) {}

  /** The element of the block. */
  get element(): HTMLElement | undefined {
    return this.elements()[0];
  }

  /** Shows blocks in place of what is there. */
  show(blocks: Block[], env: Env): void {
    const [first] = blocks;
    if (!first) return;
    const grown = this.growCode(first) || this.growList(first, env);
    const rest = grown ? blocks.slice(1) : blocks;
    const fragment = build(rest.map((block) => markupOf(block, env)).join(""));
    const from = grown ? [] : this.nodes;
    this.nodes = [...(grown ? this.nodes : []), ...patch(this.container, from, [...fragment.childNodes])];
    if (!grown) this.watch(first, env);
    this.elements().forEach(decorateMath);
  }

  /** What is shown is complete: the next block is put behind it. */
  settle(): void {
    this.elements().forEach(decorateCode);
    this.elements().forEach(decorateDiagrams);
    this.clear();
  }

  clear(): void {
    this.nodes = [];
    this.code = null;
    this.list = null;
  }

  private elements(): HTMLElement[] {
    return this.nodes.filter((node) => node instanceof HTMLElement);
  }

  private watch(block: Block, env: Env): void {
    this.list = listOf(block, env);
    const token = block.tokens[0]!;
    const code = token.type === "fence" ? this.element?.querySelector("code") : null;
    if (code && !code.firstChild) code.append("");
    this.code = code ? { text: code.firstChild as Text, language: token.info } : null;
  }

  private growCode({ tokens: [token] }: Block): boolean {
    if (!this.code || token?.type !== "fence" || token.info !== this.code.language) return false;
    const { text } = this.code;
    if (!token.content.startsWith(text.data)) return false;
    text.appendData(token.content.slice(text.data.length));
    return true;
  }

  private growList(block: Block, env: Env): boolean {
    const list = listOf(block, env);
    if (!list || !this.list || list.open !== this.list.open) return false;
    const same = sameItems(list, this.list);
    const fresh = build(list.open + list.items.slice(same).join("")).firstElementChild!;
    const element = this.element!;
    patch(element, [...element.childNodes].slice(same), [...fresh.childNodes]);
    this.list = list;
    return true;
  }
}

function markupOf(block: Block, env: Env): string {
  const list = listOf(block, env);
  return list
    ? list.open + list.items.join("") + (list.open.startsWith("<ul") ? "</ul>" : "</ol>")
    : render(block.tokens, env);
}

function build(markup: string): DocumentFragment {
  const fragment = toFragment(markup);
  addButtons(fragment);
  return fragment;
}
