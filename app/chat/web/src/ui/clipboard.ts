// Copies text to the clipboard.
import { notify } from "../state/notices";

/** Returns false and shows a notice when the browser refuses. */
export async function copyText(text: string): Promise<boolean> {
  try {
    // navigator.clipboard is undefined on a page loaded over plain HTTP from another machine.
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    notify("The browser did not allow copying.", { tone: "error" });
    return false;
  }
}
