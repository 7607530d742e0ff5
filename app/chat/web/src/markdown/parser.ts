// Markdown as models write it, to HTML that holds nothing remote and nothing active.
import createMarkdown, { type MarkdownIt, type Token } from "markdown-it";
import { mathPlugin } from "./math";

// Deeper nesting is shown as plain text: it comes from attacks, not from answers.
const MAX_NESTING = 24;
const LINK = /^(?:https?:|mailto:)/i;

export function createParser(): MarkdownIt {
  const md = createMarkdown({ html: false, linkify: true, breaks: false, maxNesting: MAX_NESTING });
  md.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });
  md.validateLink = (url) => LINK.test(url.trim());
  md.use(mathPlugin);
  const { rules } = md.renderer;
  const { escapeHtml } = md.utils;

  rules.link_open = (tokens, at, options, _env, self) => {
    const token = tokens[at]!;
    token.attrSet("rel", "noopener noreferrer nofollow");
    token.attrSet("target", "_blank");
    return self.renderToken(tokens, at, options);
  };
  // An image would tell its server that, when and from where this answer was read.
  rules.image = (tokens, at) => {
    const token = tokens[at]!;
    const source = String(token.attrGet("src") ?? "");
    const label = escapeHtml(token.content || "image");
    const href = escapeHtml(source);
    return `<a class="image" href="${href}" rel="noopener noreferrer nofollow" target="_blank">Image: ${label}</a>`;
  };
  // Alignment comes as a style attribute, which the page's policy forbids.
  for (const rule of ["th_open", "td_open"] as const) {
    rules[rule] = (tokens, at) => {
      const token = tokens[at]!;
      const side = /text-align:(center|right)/.exec(String(token.attrGet("style")))?.[1];
      return side ? `<${token.tag} class="${side}">` : `<${token.tag}>`;
    };
  }
  rules.fence = (tokens, at) => codeBlock(tokens[at]!, escapeHtml);
  rules.code_block = rules.fence;
  rules.table_open = () => '<div class="table" tabindex="0"><table>';
  rules.table_close = () => "</table></div>\n";
  // The page's own headings come first, so those of an answer rank below them.
  for (const rule of ["heading_open", "heading_close"] as const) {
    rules[rule] = (tokens, at, options, _env, self) => {
      const token = tokens[at]!;
      token.tag = `h${Math.min(6, Number(token.tag.slice(1)) + 3)}`;
      return self.renderToken(tokens, at, options);
    };
  }
  return md;
}

export const languageOf = (token: Token): string => /^[\w+#.-]{1,32}/.exec(token.info.trim())?.[0] ?? "";

function codeBlock(token: Token, escapeHtml: (text: string) => string): string {
  const language = languageOf(token);
  return (
    `<div class="code" data-language="${language}"><div class="code-head"><span>${language || "text"}</span></div>` +
    `<pre tabindex="0"><code>${escapeHtml(token.content)}</code></pre></div>\n`
  );
}
