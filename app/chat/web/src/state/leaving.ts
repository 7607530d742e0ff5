// Whether the page is being left: its connections break then, and no server has failed.

/** A page that is there after this time was not left: the user stayed, or the link was for another program. */
const LEFT_WITHIN_MS = 5000;

let leaving: Promise<void> | null = null;

function onLeave(): void {
  leaving = new Promise<void>((stayed) => setTimeout(stayed, LEFT_WITHIN_MS)).then(() => void (leaving = null));
}

/** Only while there are connections: Firefox does not keep a page with this listener for its back button. */
export function watchLeaving(connected: boolean): void {
  if (connected) addEventListener("beforeunload", onLeave);
  else removeEventListener("beforeunload", onLeave);
}

/**
 * Resolves when a broken connection has another cause than a page that is being left. Chromium breaks connections
 * with the page; Firefox breaks them as soon as it asks for the next page.
 */
export async function pageStays(): Promise<void> {
  await new Promise((goOn) => setTimeout(goOn));
  await leaving;
}
