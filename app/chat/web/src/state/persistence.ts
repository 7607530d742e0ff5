// Whether the browser keeps the stored conversations when it needs space.
import { signal } from "@preact/signals";

/** False when the browser may delete them; null when that is unknown. */
export const persistent = signal<boolean | null>(null);

let asked = false;

/** Call it when the user has something to lose: a browser may ask the user for permission. */
export async function askToPersist(): Promise<void> {
  if (asked) return;
  asked = true;
  try {
    persistent.value = (await navigator.storage.persisted()) || (await navigator.storage.persist());
  } catch {
    // Undefined on a page loaded over plain HTTP from another machine.
    persistent.value = null;
  }
}
