// Mermaid diagrams: drawn in a frame without an origin (public/diagrams), and shown as images.

export interface Drawing {
  svg: string;
  width: number;
  height: number;
}

/** Longer sources stay code. */
export const MAX_SOURCE = 20_000;
const LOADED_WITHIN_MS = 20_000;
const DRAWN_WITHIN_MS = 10_000;

interface Reply extends Partial<Drawing> {
  ready?: boolean;
  id?: number;
}

let frame: Promise<HTMLIFrameElement> | null = null;
let lastId = 0;

/** Waits for a message of the frame; null when none arrives in time. */
function reply(from: HTMLIFrameElement, wanted: (data: Reply) => boolean, withinMs: number): Promise<Reply | null> {
  return new Promise((resolve) => {
    const end = (data: Reply | null): void => {
      clearTimeout(timer);
      removeEventListener("message", onMessage);
      resolve(data);
    };
    const onMessage = ({ source, data }: MessageEvent<Reply>): void => {
      if (source === from.contentWindow && wanted(data)) end(data);
    };
    const timer = setTimeout(() => end(null), withinMs);
    addEventListener("message", onMessage);
  });
}

async function open(): Promise<HTMLIFrameElement> {
  const created = document.createElement("iframe");
  created.className = "diagram-frame";
  created.title = "Draws diagrams";
  created.ariaHidden = "true";
  created.tabIndex = -1;
  created.sandbox.add("allow-scripts");
  created.src = "/diagrams/frame.html";
  const ready = reply(created, (data) => data.ready !== undefined, LOADED_WITHIN_MS);
  document.body.append(created);
  if ((await ready)?.ready) return created;
  close(created);
  throw new Error("Mermaid could not be loaded");
}

/** A frame that does not answer is removed, so that the next diagram gets a new one. */
function close(closed: HTMLIFrameElement): void {
  closed.remove();
  frame = null;
}

/** Null when the source is not a diagram, too large, or takes too long. */
export async function drawMermaid(text: string, dark: boolean): Promise<Drawing | null> {
  if (text.length > MAX_SOURCE) return null;
  let target: HTMLIFrameElement;
  try {
    target = await (frame ??= open());
  } catch {
    return null;
  }
  const id = (lastId += 1);
  const answer = reply(target, (data) => data.id === id, DRAWN_WITHIN_MS);
  target.contentWindow?.postMessage({ id, text, dark }, "*");
  const drawn = await answer;
  if (!drawn) close(target);
  const { svg, width, height } = drawn ?? {};
  return svg && width && height ? { svg, width, height } : null;
}
