// Markdown as models write it: inline tags, task lists, text direction, bare www addresses, footnotes.
import type { MarkdownIt, StateCore, StateInline, Token } from "markdown-it";
import footnotePlugin from "markdown-it-footnote";

const TAG = /^<(\/?)(br|sub|sup|kbd|mark|u)\s*\/?>/i;
const TASK = /^\[([ xX])\]\s+/;
const WWW = /^[\w-]+(?:\.[\w-]+)+(?:[/?#][^\s<>]*[^\s<>.,;:!?)"'])?\/?/;

/** The only raw tags that are markup: they have no attributes. */
export function inlineTagsPlugin(md: MarkdownIt): void {
  md.inline.ruler.before("autolink", "inline_tag", (state: StateInline, silent: boolean): boolean => {
    const found = TAG.exec(state.src.slice(state.pos, state.pos + 16));
    if (!found) return false;
    const [whole, slash, name] = found;
    if (!silent) {
      const token = state.push("inline_tag", "", 0);
      token.content = name!.toLowerCase() === "br" ? "<br>" : `<${slash}${name!.toLowerCase()}>`;
    }
    state.pos += whole.length;
    return true;
  });
  md.renderer.rules["inline_tag"] = (tokens, at) => tokens[at]!.content;
}

/** `- [ ]` and `- [x]`. */
export function taskListPlugin(md: MarkdownIt): void {
  md.core.ruler.after("inline", "task_list", ({ tokens }: StateCore): void => {
    tokens.forEach((token, at) => {
      const item = tokens[at - 2];
      const first = token.children?.[0];
      if (token.type !== "inline" || item?.type !== "list_item_open" || first?.type !== "text") return;
      const found = TASK.exec(first.content);
      if (!found) return;
      item.attrJoin("class", "task");
      first.content = (found[1] === " " ? "☐ " : "☑ ") + first.content.slice(found[0].length);
    });
  });
}

/** Each top-level block, and each cell of a table, has the direction of its first letter. */
export function directionPlugin(md: MarkdownIt): void {
  md.core.ruler.push("direction", ({ tokens }: StateCore): void => {
    for (const token of tokens) {
      if (token.nesting === 1 && token.level === 0) token.attrSet("dir", "auto");
    }
  });
}

/** Only with `www.`: a name such as `setup.py` or `and.so` is not an address. */
export function wwwPlugin(md: MarkdownIt): void {
  md.linkify.add("www.", {
    validate: (text: string, pos: number) => WWW.exec(text.slice(pos))?.[0].length ?? 0,
    normalize: (match: { url: string }) => {
      match.url = `https://${match.url}`;
    },
  });
}

/** Footnotes without anchors: the ids of several answers on one page would be the same. */
export function footnotesPlugin(md: MarkdownIt): void {
  md.use(footnotePlugin);
  const { rules } = md.renderer;
  const numberOf = (token: Token): number => Number((token.meta as { id: number }).id) + 1;
  rules["footnote_ref"] = (tokens, at) => `<sup class="footnote">[${numberOf(tokens[at]!)}]</sup>`;
  rules["footnote_block_open"] = () => '<div class="footnotes" dir="auto"><ol>';
  rules["footnote_block_close"] = () => "</ol></div>\n";
  rules["footnote_open"] = () => "<li>";
  rules["footnote_close"] = () => "</li>";
  rules["footnote_anchor"] = () => "";
}
