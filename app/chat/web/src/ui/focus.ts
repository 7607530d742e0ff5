// Keyboard focus.

/** On a touch screen, focusing a field opens the on-screen keyboard. */
const TOUCH = matchMedia("(pointer: coarse)");

export const isTouch = (): boolean => TOUCH.matches;

const composer = (): HTMLElement | null => document.querySelector<HTMLTextAreaElement>("#composer");

export function focusComposer({ evenOnTouch = false } = {}): void {
  if (isTouch() && !evenOnTouch) return;
  // After the current change is rendered.
  queueMicrotask(() => composer()?.focus());
}

/** Runs an action that removes the focused button: the answer or question around it gets the focus. */
export function keepFocus(action: () => void): void {
  const places = [
    document.activeElement?.closest<HTMLElement>("article"),
    document.activeElement?.closest<HTMLElement>("section"),
  ];
  action();
  requestAnimationFrame(() => {
    if (document.activeElement !== document.body) return;
    const place = places.find((element) => element?.isConnected);
    if (place) place.focus({ preventScroll: true });
    else focusComposer();
  });
}
