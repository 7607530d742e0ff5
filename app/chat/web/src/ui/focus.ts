// Where the keyboard goes next.

export function focusComposer(): void {
  // After the current change has reached the page.
  queueMicrotask(() => document.querySelector<HTMLTextAreaElement>("#composer")?.focus());
}
