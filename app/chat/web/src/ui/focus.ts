// Where the keyboard goes next.

/** On a touch screen, focus opens the keyboard over half the page. */
const TOUCH = matchMedia("(hover: none)");

export const isTouch = (): boolean => TOUCH.matches;

export function focusComposer({ evenOnTouch = false } = {}): void {
  if (isTouch() && !evenOnTouch) return;
  // After the current change has reached the page.
  queueMicrotask(() => document.querySelector<HTMLTextAreaElement>("#composer")?.focus());
}
