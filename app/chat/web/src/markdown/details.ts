// `<details>` with a `<summary>`, as models write them around Markdown.
import type { MarkdownIt, StateBlock } from "markdown-it";

const OPEN = /^<details(?:\s+open)?\s*>/i;
const TAGS = /<(\/?)details(?:\s+open)?\s*>/gi;
const SUMMARY = /^\s*<summary>([\s\S]*?)<\/summary>/i;
/** Each level is parsed once more. */
const MAX_DEPTH = 4;

interface DetailsEnv {
  detailsDepth?: number;
}

export function detailsPlugin(md: MarkdownIt): void {
  md.block.ruler.before("fence", "details", detailsRule, { alt: ["paragraph", "reference", "blockquote", "list"] });
}

function detailsRule(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  const env = state.env as DetailsEnv;
  const depth = env.detailsDepth ?? 0;
  const line = (at: number): string => state.src.slice(state.bMarks[at]! + state.tShift[at]!, state.eMarks[at]!);
  if (depth >= MAX_DEPTH || state.sCount[startLine]! - state.blkIndent >= 4 || !OPEN.test(line(startLine)))
    return false;
  if (silent) return true;

  const { text, next } = untilClosed(state, startLine, endLine);
  const summary = SUMMARY.exec(text);
  state.push("details_open", "details", 1).map = [startLine, next];
  state.push("summary_open", "summary", 1);
  const label = state.push("inline", "", 0);
  label.content = summary?.[1]?.trim() || "Details";
  label.children = [];
  state.push("summary_close", "summary", -1);
  env.detailsDepth = depth + 1;
  state.md.block.parse(summary ? text.slice(summary[0].length) : text, state.md, state.env, state.tokens);
  env.detailsDepth = depth;
  state.push("details_close", "details", -1);
  state.line = next;
  return true;
}

/** The text between the tags, and the line after them. Without an end tag, as while streaming, all lines. */
function untilClosed(state: StateBlock, startLine: number, endLine: number): { text: string; next: number } {
  const source = state.getLines(startLine, endLine, state.blkIndent, false).trimStart();
  const from = OPEN.exec(source)![0].length;
  let open = 0;
  for (const tag of source.matchAll(TAGS)) {
    open += tag[1] ? -1 : 1;
    if (open > 0) continue;
    const lines = source.slice(0, tag.index).split("\n").length;
    return { text: source.slice(from, tag.index), next: startLine + lines };
  }
  return { text: source.slice(from), next: endLine };
}
