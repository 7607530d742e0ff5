// The conversations: the list, the open one, and how changes are stored and sent to other tabs.
import { batch, computed, signal } from "@preact/signals";
import { type Conversation, closeInterrupted, newConversation } from "../domain/conversation";
import { ImportError, exportFile, importFile } from "../domain/transfer";
import type { Hit } from "../domain/search";
import { Archive, type Heading } from "./archive";
import { notify } from "./notices";
import { defaults, lastModels } from "./preferences";

export const headings = signal<Heading[]>([]);
/** The displayed conversation. One without turns is new and not stored yet. */
export const current = signal<Conversation>(newConversation(lastModels.value, defaults.value));
export const currentId = computed(() => current.value.id);

let archive: Archive | null = null;
const channel = new BroadcastChannel("chat.conversations");
/** Conversations with streaming answers that are not displayed. */
const background = new Map<string, Conversation>();

export async function openArchive(): Promise<void> {
  try {
    archive = await Archive.open();
    headings.value = await archive.headings();
  } catch {
    notify("This browser does not store data for this page: conversations are lost when it is closed.", {
      tone: "error",
    });
  }
  channel.onmessage = ({ data }: MessageEvent<string>) => void changedElsewhere(data);
}

async function changedElsewhere(id: string): Promise<void> {
  if (!archive) return;
  headings.value = await archive.headings();
  if (id !== currentId.peek() || background.has(id)) return;
  const stored = await archive.load(id);
  if (stored && stored.updatedAt > current.peek().updatedAt && id === currentId.peek()) {
    current.value = stored;
  }
}

/** Starts the write before it returns, so that a reload right after a change loses nothing.
 *  IndexedDB runs write transactions in order, so that an older state never overwrites a newer
 *  one, and reads see earlier writes: https://w3c.github.io/IndexedDB/#transaction-scheduling */
async function store(work: (open: Archive) => Promise<void>, id: string): Promise<void> {
  if (!archive) return;
  try {
    await work(archive);
    channel.postMessage(id);
  } catch {
    notify("The browser could not store the conversation.", { tone: "error" });
  }
}

function updateHeading(conversation: Conversation): void {
  const { id, title, updatedAt } = conversation;
  const others = headings.peek().filter((heading) => heading.id !== id);
  headings.value = [{ id, title, updatedAt }, ...others].sort((a, b) => b.updatedAt - a.updatedAt);
}

export const find = (id: string): Conversation | null =>
  id === currentId.peek() ? current.peek() : (background.get(id) ?? null);

/** Changes a conversation that is open or still receiving answers, and stores it. */
export function change(id: string, apply: (conversation: Conversation) => Conversation): void {
  const before = find(id);
  if (!before) return;
  const after = apply(before);
  if (after === before) return;
  if (id === currentId.peek()) current.value = after;
  if (background.has(id)) background.set(id, after);
  if (after.turns.length === 0) return;
  updateHeading(after);
  void store((open) => open.save(after), id);
}

/** Stores an intermediate state (of a streaming answer) without showing it. */
export function storeIntermediate(conversation: Conversation): void {
  void store((open) => open.save(conversation), conversation.id);
}

/** Keeps a conversation with a streaming answer in memory when another one is opened. */
export function keepInMemory(id: string): void {
  const conversation = find(id);
  if (conversation) background.set(id, conversation);
}

export function release(id: string): void {
  background.delete(id);
}

export function startNew(models = lastModels.peek()): void {
  current.value = newConversation(models, defaults.peek());
}

/** Shows a stored conversation; false when the id is unknown. */
export async function show(id: string): Promise<boolean> {
  if (id === currentId.peek()) return true;
  const held = background.get(id);
  if (held) {
    current.value = held;
    return true;
  }
  const stored = (await archive?.load(id)) ?? null;
  if (!stored) return false;
  const closed = closeInterrupted(stored);
  current.value = closed;
  return true;
}

/** Changes any conversation, open or not. */
export async function changeStored(id: string, apply: (conversation: Conversation) => Conversation): Promise<void> {
  if (find(id)) return change(id, apply);
  const stored = await archive?.load(id);
  if (!stored) return;
  const after = apply(stored);
  updateHeading(after);
  await store((open) => open.save(after), id);
}

/** Deletes a conversation and offers to undo it. */
export async function remove(id: string): Promise<void> {
  const conversation = find(id) ?? (await archive?.load(id)) ?? null;
  if (!conversation) return;
  batch(() => {
    headings.value = headings.peek().filter((heading) => heading.id !== id);
    if (id === currentId.peek()) startNew(conversation.models);
  });
  void store((open) => open.remove(id), id);
  notify(`“${conversation.title}” was deleted.`, {
    action: { label: "Undo", run: () => restore(conversation) },
  });
}

function restore(conversation: Conversation): void {
  updateHeading(conversation);
  void store((open) => open.save(conversation), conversation.id);
}

export async function search(query: string, abort: AbortSignal): Promise<Hit[]> {
  return archive ? archive.search(query, abort) : [];
}

/** The text of an export: one conversation, or all. */
export async function exportText(id?: string): Promise<string> {
  if (id === undefined) return exportFile((await archive?.all()) ?? []);
  const conversation = find(id) ?? (await archive?.load(id)) ?? null;
  return exportFile(conversation ? [closeInterrupted(conversation)] : []);
}

/** Adds the conversations of an exported file; those with a known id are replaced when the imported one is newer. */
export async function importText(source: string): Promise<void> {
  try {
    const found = importFile(source);
    const known = new Map(headings.peek().map((heading) => [heading.id, heading.updatedAt]));
    const fresh = found.filter(({ id, updatedAt }) => (known.get(id) ?? -1) < updatedAt);
    await store((open) => open.save(...fresh), fresh[0]?.id ?? "");
    batch(() => fresh.forEach(updateHeading));
    const skipped = found.length - fresh.length;
    notify(`Imported ${count(fresh.length)}${skipped > 0 ? `; ${count(skipped)} already up to date` : ""}.`);
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    notify(error.message, { tone: "error" });
  }
}

const count = (number: number): string => `${number} conversation${number === 1 ? "" : "s"}`;
