// Code blocks and tables as people take them out of an answer: a file's name, rows for a spreadsheet.
import { texOf } from "./decorate";

const EXTENSIONS: Record<string, string> = {
  bash: "sh",
  csharp: "cs",
  dockerfile: "Dockerfile",
  javascript: "js",
  kotlin: "kt",
  markdown: "md",
  mermaid: "mmd",
  python: "py",
  ruby: "rb",
  rust: "rs",
  shell: "sh",
  typescript: "ts",
};

/** The name of a file with code in this language. */
export function codeFileName(language: string): string {
  const known = language.toLowerCase();
  return `code.${EXTENSIONS[known] ?? (/^[a-z0-9]{1,5}$/.test(known) ? known : "txt")}`;
}

/** The rows of a table as lines of cells with tabs between them, which spreadsheets accept. */
export const tableAsText = (table: HTMLTableElement): string =>
  [...table.rows].map((row) => [...row.cells].map(textOf).join("\t")).join("\n");

/** Without line breaks and tabs, which would begin another row or cell. */
const textOf = (cell: Node): string => sourceOf(cell).replace(/\s+/g, " ").trim();

/** A typeset formula has its text twice; its source is what people can use. */
function sourceOf(node: Node): string {
  if (node instanceof Text) return node.data;
  if (!(node instanceof Element)) return "";
  if (node.tagName === "BR") return " ";
  return node.classList.contains("math") ? texOf(node) : [...node.childNodes].map(sourceOf).join("");
}
