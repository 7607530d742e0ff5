// TeX in Markdown: \( … \), \[ … \], $ … $ and $$ … $$ become elements that contain the source.
import type { MarkdownIt, StateBlock, StateInline } from "markdown-it";

const BLOCKS: [open: string, close: string][] = [
  ["$$", "$$"],
  ["\\[", "\\]"],
];

export function mathPlugin(md: MarkdownIt): void {
  md.inline.ruler.before("escape", "math_inline", inlineRule);
  md.block.ruler.after("blockquote", "math_block", blockRule, {
    alt: ["paragraph", "reference", "blockquote", "list"],
  });
  const { escapeHtml } = md.utils;
  md.renderer.rules["math_inline"] = (tokens, at) => `<span class="math">${escapeHtml(tokens[at]!.content)}</span>`;
  md.renderer.rules["math_block"] = (tokens, at) => `<div class="math">${escapeHtml(tokens[at]!.content)}</div>\n`;
}

function inlineRule(state: StateInline, silent: boolean): boolean {
  const { src, pos } = state;
  const end = src.startsWith("\\(", pos)
    ? close(src, pos + 2, "\\)")
    : src.startsWith("\\[", pos)
      ? close(src, pos + 2, "\\]")
      : src[pos] === "$"
        ? dollarEnd(src, pos)
        : null;
  if (!end) return false;
  if (!silent) {
    const token = state.push("math_inline", "span", 0);
    token.content = src.slice(end.from, end.to).trim();
  }
  state.pos = end.next;
  return true;
}

interface Span {
  from: number;
  to: number;
  next: number;
}

function close(src: string, from: number, mark: string): Span | null {
  const to = src.indexOf(mark, from);
  return to <= from ? null : { from, to, next: to + mark.length };
}

/** A single $ opens math only where it cannot be a price: no space inside, no digit after. */
function dollarEnd(src: string, pos: number): Span | null {
  const double = src.startsWith("$$", pos);
  if (double) return close(src, pos + 2, "$$");
  const from = pos + 1;
  if (/^[\s$]?$/.test(src[from] ?? "")) return null;
  for (let to = src.indexOf("$", from); to > 0; to = src.indexOf("$", to + 1)) {
    if (src[to - 1] === "\\") continue;
    if (/\s/.test(src[to - 1]!) || /\d/.test(src[to + 1] ?? "")) return null;
    return { from, to, next: to + 1 };
  }
  return null;
}

function blockRule(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  const line = (at: number): string => state.src.slice(state.bMarks[at]! + state.tShift[at]!, state.eMarks[at]!);
  if (state.sCount[startLine]! - state.blkIndent >= 4) return false;
  const first = line(startLine);
  const marks = BLOCKS.find(([open]) => first.startsWith(open));
  if (!marks) return false;
  const [open, end] = marks;

  const content: string[] = [];
  let rest = first.slice(open.length);
  let next = startLine;
  let closed = false;
  for (;;) {
    const at = rest.indexOf(end);
    if (at >= 0) {
      // Text after the closing delimiter: this is inline math.
      if (rest.slice(at + end.length).trim() !== "") return false;
      content.push(rest.slice(0, at));
      closed = true;
      break;
    }
    content.push(rest);
    next += 1;
    if (next >= endLine || state.sCount[next]! < state.blkIndent) break;
    rest = line(next);
  }
  // While an answer is streaming, an unclosed block is incomplete math; an empty one is only dollar signs.
  if (!closed && content.join("").trim() === "") return false;
  if (silent) return true;
  state.line = Math.min(next + 1, endLine);
  const token = state.push("math_block", "div", 0);
  token.block = true;
  token.content = content.join("\n").trim();
  token.map = [startLine, state.line];
  return true;
}
