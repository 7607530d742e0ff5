// Shows complete Mermaid blocks as diagrams, with a button for their code.
import { found } from "./decorate";
import { drawMermaid } from "./diagram";

const DARK = matchMedia("(prefers-color-scheme: dark)");

function isDark(): boolean {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : DARK.matches;
}

export function decorateDiagrams(root: HTMLElement): void {
  for (const block of found(root, '.code[data-language="mermaid"]')) void decorate(block);
}

async function decorate(block: HTMLElement): Promise<void> {
  const image = await imageOf(block);
  // Not a diagram: the code stays.
  if (!image) return;
  const figure = document.createElement("div");
  figure.className = "diagram";
  figure.append(image);
  const toggle = document.createElement("button");
  toggle.type = "button";
  toggle.className = "tool toggle";
  const show = (asCode: boolean): void => {
    block.classList.toggle("drawn", !asCode);
    toggle.textContent = asCode ? "Show diagram" : "Show code";
  };
  toggle.addEventListener("click", () => show(block.classList.contains("drawn")));
  show(false);
  block.querySelector(".code-head > span")?.after(toggle);
  block.append(figure);
}

async function imageOf(block: HTMLElement): Promise<HTMLImageElement | null> {
  const source = block.querySelector("code")?.textContent ?? "";
  const drawing = await drawMermaid(source, isDark());
  if (!drawing) return null;
  const image = new Image(Math.ceil(drawing.width), Math.ceil(drawing.height));
  image.alt = `Diagram of the type ${/^\s*([\w-]+)/.exec(source)?.[1] ?? "unknown"}; its code has the same content.`;
  const url = URL.createObjectURL(new Blob([drawing.svg], { type: "image/svg+xml" }));
  image.src = url;
  try {
    await image.decode();
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(url);
  }
  return image;
}

async function redraw(): Promise<void> {
  for (const figure of document.querySelectorAll<HTMLElement>(".diagram")) {
    const image = await imageOf(figure.closest<HTMLElement>(".code")!);
    if (image) figure.replaceChildren(image);
  }
}

/** Draws the diagrams again in the colours of the other theme. */
export function followTheme(): void {
  DARK.addEventListener("change", () => void redraw());
  new MutationObserver(() => void redraw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
}
