// Copies text to the clipboard.
import { signal } from "@preact/signals";
import { announce, notify } from "../state/notices";
import { IconButton } from "./button";

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

const CONFIRMED_MS = 1500;
const copied = signal<string | null>(null);

async function copy(id: string, text: string): Promise<void> {
  if (!(await copyText(text))) return;
  copied.value = id;
  announce("Copied.");
  setTimeout(() => (copied.value = null), CONFIRMED_MS);
}

/** `id` is that of the message: the check mark is shown at its button only. */
export function CopyButton({ id, label, text }: { id: string; label: string; text: string }) {
  return <IconButton icon={copied.value === id ? "check" : "copy"} label={label} onClick={() => void copy(id, text)} />;
}
