// Keyboard focus.

/** On a touch screen, focusing a field opens the on-screen keyboard. */
const TOUCH = matchMedia("(hover: none)");

export const isTouch = (): boolean => TOUCH.matches;

export function focusComposer({ evenOnTouch = false } = {}): void {
  if (isTouch() && !evenOnTouch) return;
  // After the current change is rendered.
  queueMicrotask(() => document.querySelector<HTMLTextAreaElement>("#composer")?.focus());
}
