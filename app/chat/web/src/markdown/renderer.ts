// The part of the page that renders Markdown: a file of its own, which a page without an answer does not need.
export { codeFileName, tableAsText } from "./blocks";
export { followTheme } from "./diagrams";
export { MarkdownView } from "./view";
