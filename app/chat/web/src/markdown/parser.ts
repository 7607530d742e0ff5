// Converts a model's Markdown to HTML without remote or active content.
import createMarkdown, { type MarkdownIt, type Token } from "markdown-it";
import { directionPlugin, footnotesPlugin, inlineTagsPlugin, taskListPlugin, wwwPlugin } from "./extensions";
import { detailsPlugin } from "./details";
import { mathPlugin } from "./math";

// Each nested list or quotation takes two levels; real answers stay far below.
const MAX_NESTING = 48;
const MAX_TOO_DEEP = 20;
const LINK = /^(?:https?:|mailto:)/i;

function createParser(): MarkdownIt {
  const md = createMarkdown({ html: false, linkify: true, breaks: true, maxNesting: MAX_NESTING });
  md.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });
  md.validateLink = (url) => LINK.test(url.trim());
  md.use(mathPlugin);
  md.use(detailsPlugin);
  for (const plugin of [inlineTagsPlugin, taskListPlugin, wwwPlugin, footnotesPlugin, directionPlugin]) md.use(plugin);
  const { rules } = md.renderer;
  const { escapeHtml } = md.utils;

  rules.link_open = (tokens, at, options, _env, self) => {
    const token = tokens[at]!;
    token.attrSet("rel", "noopener noreferrer nofollow");
    token.attrSet("target", "_blank");
    return self.renderToken(tokens, at, options);
  };
  // Loading an image would reveal to its server that, when and from where this answer was read.
  rules.image = (tokens, at) => {
    const token = tokens[at]!;
    const source = String(token.attrGet("src") ?? "");
    const label = escapeHtml(token.content || "image");
    const href = escapeHtml(source);
    return `<a class="image" href="${href}" rel="noopener noreferrer nofollow" target="_blank">Image: ${label}</a>`;
  };
  // markdown-it writes alignment as a style attribute, which the Content Security Policy forbids.
  for (const rule of ["th_open", "td_open"] as const) {
    rules[rule] = (tokens, at) => {
      const token = tokens[at]!;
      const side = /text-align:(center|right)/.exec(String(token.attrGet("style")))?.[1];
      return side ? `<${token.tag} dir="auto" class="${side}">` : `<${token.tag} dir="auto">`;
    };
  }
  rules.fence = (tokens, at) => codeBlock(tokens[at]!, escapeHtml);
  rules.code_block = rules.fence;
  rules.table_open = () => '<div class="table-frame"><div class="table" tabindex="0"><table>';
  rules.table_close = () => "</table></div></div>\n";
  // The page uses h1 to h3, so headings in an answer start at h4; the class has the level for the size.
  for (const rule of ["heading_open", "heading_close"] as const) {
    rules[rule] = (tokens, at, options, _env, self) => {
      const token = tokens[at]!;
      const level = Number(token.tag.slice(1));
      if (token.nesting === 1) token.attrSet("class", `level-${level}`);
      token.tag = `h${Math.min(6, level + 3)}`;
      return self.renderToken(tokens, at, options);
    };
  }
  return md;
}

const languageOf = (token: Token): string => /^[\w+#.-]{1,32}/.exec(token.info.trim())?.[0] ?? "";

function codeBlock(token: Token, escapeHtml: (text: string) => string): string {
  const language = languageOf(token);
  return (
    `<div class="code" data-language="${language}"><div class="code-head"><span>${language || "text"}</span></div>` +
    `<pre tabindex="0"><code>${escapeHtml(token.content)}</code></pre></div>\n`
  );
}

/** What the parser collects, such as the definitions of links. */
export type Env = Record<string, unknown>;

/** A top-level block: its tokens, and the line on which it begins. */
export interface Block {
  tokens: Token[];
  line: number;
}

const parser = createParser();

export const render = (tokens: Token[], env: Env): string => parser.renderer.render(tokens, parser.options, env);

const FOOTNOTE = /^ {0,3}\[\^[^\]\s]+\]:/m;

/** Whether footnotes are defined: their numbers and list need the whole text. */
export const hasFootnotes = (text: string): boolean => FOOTNOTE.test(text);

/**
 * The top-level blocks of a text. The parser drops blocks that are nested too deeply and everything
 * after them; here such a block becomes plain text up to the next empty line, so that nothing is lost.
 */
export function blocksOf(text: string, env: Env): Block[] {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  let base = 0;
  for (let deep = 0; base < lines.length; deep += 1) {
    const found = group(parser.parse(lines.slice(base).join("\n"), env), base);
    const first = found.findIndex(isTooDeep);
    if (first < 0) return [...blocks, ...found];
    const { line } = found[first]!;
    const gap = lines.findIndex((content, at) => at > line && content.trim() === "");
    base = gap < 0 || deep >= MAX_TOO_DEEP ? lines.length : gap;
    blocks.push(...found.slice(0, first), { tokens: plainText(lines.slice(line, base).join("\n")), line });
  }
  return blocks;
}

function plainText(text: string): Token[] {
  const tokens = parser.parse("~~~\n~~~", {});
  tokens[0]!.content = text;
  return tokens;
}

const isTooDeep = (block: Block): boolean => block.tokens.some(({ level }) => level >= MAX_NESTING - 1);

/** The tokens of each child of a block. */
export const childrenOf = (tokens: Token[]): Token[][] => group(tokens.slice(1, -1), 0).map((child) => child.tokens);

function group(tokens: Token[], base: number): Block[] {
  const blocks: Block[] = [];
  let depth = 0;
  for (const token of tokens) {
    if (depth === 0) blocks.push({ tokens: [], line: base + (token.map?.[0] ?? 0) });
    blocks.at(-1)!.tokens.push(token);
    depth += token.nesting;
  }
  return blocks;
}
