// Loads the Markdown renderer when a text first needs it.
import { signal } from "@preact/signals";
import { loadKatex } from "./typesetter";

type Renderer = typeof import("./renderer");

/** Null until it is loaded. */
export const renderer = signal<Renderer | null>(null);

let loading: Promise<void> | null = null;

/** Does not fail: without the renderer, texts are shown as they are. */
export const loadRenderer = (): Promise<void> => (loading ??= load());

async function load(): Promise<void> {
  try {
    const loaded = await import("./renderer");
    loaded.followTheme();
    renderer.value = loaded;
  } catch {
    loading = null;
  }
}

const MATH = /\$|\\[([]/;
/** Later, texts appear as they are, and change when what they need is loaded. */
const PATIENCE_MS = 2000;

/** Loads what stored texts need, so that they do not change their height after they have appeared. */
export async function prepareFor(texts: string[]): Promise<void> {
  // The colours of code come later: they move nothing.
  const math = texts.some((text) => MATH.test(text)) ? loadKatex().catch(() => undefined) : undefined;
  const load = Promise.all([loadRenderer(), math]);
  await Promise.race([load, new Promise((goOn) => setTimeout(goOn, PATIENCE_MS))]);
}

/** Before the user can have sent or opened anything. */
export function loadRendererAtFirstInput(): void {
  for (const name of ["pointermove", "pointerdown", "keydown"]) {
    addEventListener(name, () => void loadRenderer(), { once: true, passive: true });
  }
}
