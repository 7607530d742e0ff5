// Renders Markdown and limits how often it is redrawn.
import type { ReadonlySignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { loadRenderer, renderer } from "../markdown/loading";
import type { MarkdownView } from "../markdown/view";
import { saveFile } from "../state/files";
import { copyText } from "./clipboard";

/** The pause after a redraw, as a multiple of the redraw's duration. */
const REST = 4;

interface Props {
  /** The text while it is streaming. */
  source?: ReadonlySignal<string> | undefined;
  /** The complete text. */
  text: string;
}

/** Runs the button of a code block or table that was clicked. */
function onClick(event: MouseEvent): void {
  const button = (event.target as HTMLElement).closest<HTMLButtonElement>("button.tool");
  if (!button) return;
  const block = button.closest<HTMLElement>(".code, .table-frame")!;
  const code = block.querySelector("code")?.textContent ?? "";
  const { codeFileName, tableAsText } = renderer.peek()!;
  if (button.matches(".copy")) void copy(button, code);
  else if (button.matches(".copy-table")) void copy(button, tableAsText(block.querySelector("table")!));
  else if (button.matches(".download")) saveFile(codeFileName(block.dataset["language"] ?? ""), code, "text/plain");
  else if (button.matches(".wrap")) button.ariaPressed = String(block.classList.toggle("wrapped"));
}

async function copy(button: HTMLButtonElement, text: string): Promise<void> {
  if (!(await copyText(text))) return;
  const label = button.matches(".copy") ? "Copy" : "Copy table";
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = label), 1500);
}

export function Markdown(props: Props) {
  const View = renderer.value?.MarkdownView;
  return View ? <Rendered key="rendered" View={View} {...props} /> : <Plain key="plain" {...props} />;
}

/** Until the renderer is loaded. */
function Plain({ source, text }: Props) {
  useLayoutEffect(() => void loadRenderer(), []);
  return (
    <div class="markdown plain" dir="auto">
      {source?.value ?? text}
    </div>
  );
}

function Rendered({ View, source, text }: Props & { View: typeof MarkdownView }) {
  const container = useRef<HTMLDivElement>(null);
  const view = useRef<MarkdownView>(null);

  useLayoutEffect(() => {
    view.current ??= new View(container.current!);
    if (!source) {
      view.current.update(text, true);
      return;
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    let restUntil = 0;
    const draw = (): void => {
      timer = undefined;
      const began = performance.now();
      view.current!.update(source.peek(), false);
      // The layout is a part of the redraw, and the larger one in long tables.
      void container.current!.offsetHeight;
      const ended = performance.now();
      restUntil = ended + REST * (ended - began);
    };
    const unsubscribe = source.subscribe(() => {
      if (timer !== undefined) return;
      const rest = restUntil - performance.now();
      if (rest <= 0) draw();
      else timer = setTimeout(draw, rest);
    });
    return () => {
      clearTimeout(timer);
      unsubscribe();
    };
  }, [source, text]);

  return <div ref={container} class="markdown" onClick={onClick} />;
}
