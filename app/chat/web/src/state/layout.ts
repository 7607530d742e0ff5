// Which dialog is open, and the sidebar's drawer on narrow screens.
import { type ReadonlySignal, signal } from "@preact/signals";

export type Panel =
  | "search"
  | "settings"
  | "models"
  | "shortcuts"
  | "key"
  | "votes"
  | "file"
  | "chats"
  | "prompts"
  | "variables";

export const panel = signal<Panel | null>(null);
export const drawerOpen = signal(false);

function media(query: string): ReadonlySignal<boolean> {
  const list = matchMedia(query);
  const matches = signal(list.matches);
  list.addEventListener("change", () => (matches.value = list.matches));
  return matches;
}

/** Too narrow to show the sidebar beside the conversation. */
export const narrow = media("(max-width: 55rem)");
export const phone = media("(max-width: 40rem)");
narrow.subscribe(() => (drawerOpen.value = false));

/** Whether the view follows the end of the conversation. */
export const following = signal(true);

/** While the page itself scrolls to a message: these scroll events are not the user's. */
export const arriving = signal(false);

export function openPanel(which: Panel): void {
  panel.value = which;
}

export function closePanel(): void {
  panel.value = null;
}
