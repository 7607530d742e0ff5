// Drafts: messages that are not sent yet, and the question that is being edited.
import { computed, signal } from "@preact/signals";
import { current } from "./chats";
import { read, write } from "./preferences";

const STORED = "chat.draft.";
const STORE_AFTER_MS = 250;

/** Names the draft. A new chat has another id after a reload. */
export const draftKey = computed(() => (current.value.turns.length > 0 ? current.value.id : "new"));

const drafts = signal<ReadonlyMap<string, string>>(new Map());

export const draft = computed(() => drafts.value.get(draftKey.value) ?? read(STORED + draftKey.value) ?? "");

let timer: ReturnType<typeof setTimeout> | undefined;
const unsaved = new Set<string>();

export function setDraft(text: string): void {
  drafts.value = new Map(drafts.peek()).set(draftKey.peek(), text);
  unsaved.add(draftKey.peek());
  clearTimeout(timer);
  if (text === "") storeDrafts();
  else timer = setTimeout(storeDrafts, STORE_AFTER_MS);
}

function storeDrafts(): void {
  for (const name of unsaved) write(STORED + name, drafts.peek().get(name) || null);
  unsaved.clear();
}

/** Stores a draft when the page is left before its time. */
export function keepDrafts(): void {
  addEventListener("pagehide", storeDrafts);
}

/** The id of the turn whose question is being edited, or of the answer. */
export const editing = signal<string | null>(null);
