// Drafts: messages that are not sent yet, and the question that is being edited.
import { computed, signal } from "@preact/signals";
import { currentId } from "./chats";

/** By conversation id. */
const drafts = signal<ReadonlyMap<string, string>>(new Map());

export const draft = computed(() => drafts.value.get(currentId.value) ?? "");

export function setDraft(text: string): void {
  drafts.value = new Map(drafts.peek()).set(currentId.peek(), text);
}

/** The id of the turn whose question is being edited. */
export const editing = signal<string | null>(null);
