// What is open on screen: dialogs and the drawer of a narrow screen.
import { signal } from "@preact/signals";

export type Panel = "search" | "settings" | "models" | "shortcuts" | "key";

export const panel = signal<Panel | null>(null);
export const drawerOpen = signal(false);

const NARROW = matchMedia("(max-width: 55rem)");
export const narrow = signal(NARROW.matches);
NARROW.addEventListener("change", ({ matches }) => {
  narrow.value = matches;
  drawerOpen.value = false;
});

export function openPanel(which: Panel): void {
  panel.value = which;
}

export function closePanel(): void {
  panel.value = null;
}
