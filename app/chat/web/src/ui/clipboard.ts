// Copying.
import { notify } from "../state/notices";

/** False, with a notice to the reader, where the browser refuses. */
export async function copyText(text: string): Promise<boolean> {
  try {
    // There is no clipboard object on a page that came over plain HTTP from another machine.
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    notify("The browser did not let this page copy.", { tone: "error" });
    return false;
  }
}
