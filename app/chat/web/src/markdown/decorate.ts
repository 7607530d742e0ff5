// Decorates rendered Markdown: typeset math, highlighted code, buttons.
import { toFragment } from "./sanitize";
import { type Katex, katex, loadKatex } from "./typesetter";

const MAX_TEX = 4000;
const MAX_HIGHLIGHTED = 60_000;

/** The element and those in it that match. */
export const found = (root: HTMLElement, selector: string): HTMLElement[] => [
  ...(root.matches(selector) ? [root] : []),
  ...root.querySelectorAll<HTMLElement>(selector),
];

type Highlighter = typeof import("./highlighter").default;

let highlighter: Highlighter | null = null;

/** After the text is painted: colours move nothing, and their file would delay what is read. */
async function loadHighlighter(): Promise<Highlighter> {
  await new Promise((goOn) => requestAnimationFrame(() => setTimeout(goOn)));
  return (highlighter = (await import("./highlighter")).default);
}

/** The sources of the formulas that are typeset, or will be. */
const sources = new WeakMap<Element, string>();

export const texOf = (element: Element): string => sources.get(element) ?? element.textContent;

/** Typesets now if KaTeX is loaded, else when it has loaded. Until then the source is shown. */
export function decorateMath(root: HTMLElement): void {
  for (const element of found(root, ".math")) {
    if (sources.has(element)) continue;
    const tex = element.textContent;
    sources.set(element, tex);
    const ready = katex();
    if (ready) typeset(ready, element, tex);
    else void loadKatex().then((loaded) => typeset(loaded, element, tex));
  }
}

function typeset(library: Katex, element: HTMLElement, tex: string): void {
  if (tex.length > MAX_TEX) return;
  const output = document.createElement("span");
  try {
    // KaTeX builds nodes and sets styles through the DOM, so the Content Security Policy needs no exception.
    library.render(tex, output, {
      displayMode: element.tagName === "DIV",
      trust: false,
      strict: "ignore",
      maxSize: 20,
      maxExpand: 200,
    });
  } catch {
    // Invalid or incomplete formulas are left as source.
    return;
  }
  element.replaceChildren(...output.childNodes);
}

/** Highlights a complete code block. */
export function decorateCode(root: HTMLElement): void {
  for (const block of found(root, ".code")) {
    const language = block.dataset["language"] ?? "";
    const code = block.querySelector("code");
    if (!code || !language || code.textContent.length > MAX_HIGHLIGHTED) continue;
    if (highlighter) colour(highlighter, code, language);
    else void loadHighlighter().then((loaded) => colour(loaded, code, language));
  }
}

function colour(library: Highlighter, code: HTMLElement, language: string): void {
  if (!library.getLanguage(language)) return;
  const { value } = library.highlight(code.textContent, { language, ignoreIllegals: true });
  code.replaceChildren(toFragment(value));
}

/** Adds buttons to each code block and table. */
export function addButtons(root: ParentNode): void {
  for (const head of root.querySelectorAll<HTMLElement>(".code-head")) {
    const wrap = button("wrap", "Wrap", "Wrap lines");
    wrap.ariaPressed = "false";
    head.append(wrap, button("download", "Download", "Download code"), button("copy", "Copy", "Copy code"));
  }
  for (const frame of root.querySelectorAll<HTMLElement>(".table-frame"))
    frame.append(button("copy-table", "Copy table", "Copy table"));
}

function button(name: string, text: string, label: string): HTMLButtonElement {
  const element = document.createElement("button");
  element.type = "button";
  element.className = `tool ${name}`;
  element.textContent = text;
  element.ariaLabel = label;
  return element;
}
