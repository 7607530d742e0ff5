// Copies text to the clipboard.
import { signal } from "@preact/signals";
import { announce, notify } from "../state/notices";
import { IconButton } from "./button";

/** Returns false and shows a notice when the browser refuses. */
export async function copyText(text: string): Promise<boolean> {
  try {
    // Undefined on a page loaded over plain HTTP from another machine.
    const clipboard = navigator.clipboard as Clipboard | undefined;
    if (clipboard) await clipboard.writeText(text);
    else if (!copyByCommand(text)) throw new Error("refused");
    return true;
  } catch {
    notify("The browser did not allow copying.", { tone: "error" });
    return false;
  }
}

/** The old way, which browsers allow without HTTPS too. */
function copyByCommand(text: string): boolean {
  const focused = document.activeElement as HTMLElement | null;
  const field = document.createElement("textarea");
  field.className = "unseen";
  field.readOnly = true;
  field.value = text;
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } finally {
    field.remove();
    focused?.focus({ preventScroll: true });
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
