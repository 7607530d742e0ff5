// Short messages to the user: one on screen, and one for screen readers only.
import { signal } from "@preact/signals";

export interface Notice {
  text: string;
  tone: "info" | "error";
  action?: { label: string; run: () => void };
}

export const notice = signal<Notice | null>(null);
/** Text for screen readers (a polite live region). */
export const announcement = signal("");

export function notify(text: string, options: Partial<Omit<Notice, "text">> = {}): void {
  notice.value = { text, tone: "info", ...options };
}

export function announce(text: string): void {
  announcement.value = text;
}
