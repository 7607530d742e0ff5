// Loads the Markdown renderer when a text first needs it.
import { signal } from "@preact/signals";

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

/** Before the user can have sent or opened anything. */
export function loadRendererAtFirstInput(): void {
  for (const name of ["pointermove", "pointerdown", "keydown"]) {
    addEventListener(name, () => void loadRenderer(), { once: true, passive: true });
  }
}
