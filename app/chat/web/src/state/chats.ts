// The conversations: the list, the open one, and how changes are stored and sent to other tabs.
import { batch, computed, signal } from "@preact/signals";
import {
  type Conversation,
  allAnswers,
  closeInterrupted,
  isRunning,
  newConversation,
  path,
  shownAnswer,
} from "../domain/conversation";
import { addMissing, containsAll, mergeConversations } from "../domain/merge";
import type { Prompt } from "../domain/prompts";
import { exportFile } from "../domain/transfer";
import type { Hit } from "../domain/search";
import { prepareFor } from "../markdown/loading";
import { Archive, type ConversationStore, type Heading, headingOf, newestFirst } from "./archive";
import { MemoryArchive } from "./memory";
import { contentsOf } from "./contents";
import { saveFile } from "./files";
import { notify } from "./notices";
import { askToPersist } from "./persistence";
import { defaults, lastModels } from "./preferences";
import { prompts } from "./prompts";
import { answeredElsewhere, listen, reportChange } from "./tabs";

export const headings = signal<Heading[]>([]);
/** The displayed conversation. One without turns is new and not stored yet. */
export const current = signal<Conversation>(newConversation(lastModels.value, defaults.value));
export const currentId = computed(() => current.value.id);

/** Where conversations are stored: `memory` when the browser blocks its database, `full` when it refuses more. */
export const storage = signal<"browser" | "memory" | "full">("browser");

/** In a report to other tabs: any conversation may have changed. */
const ALL = "*";

let archive: ConversationStore = new MemoryArchive();
/** Conversations with streaming answers that are not displayed. */
const background = new Map<string, Conversation>();

export async function openArchive(): Promise<void> {
  try {
    archive = await Archive.open();
    headings.value = await archive.headings();
  } catch {
    storage.value = "memory";
    notify("Your browser blocks storage. Chats will be lost when you close this tab.", { tone: "error" });
  }
  listen(
    (id) => void changedElsewhere(id === ALL ? current.peek().id : id),
    (id) => background.has(id),
  );
}

/** Merges what another tab has stored. Both tabs store the merged state, so that the last write has everything. */
async function changedElsewhere(id: string): Promise<void> {
  headings.value = await archive.headings();
  const stored = await archive.load(id);
  const mine = find(id);
  if (!mine || mine.turns.length === 0) return;
  if (!stored) {
    if (background.has(id)) return;
    startNew(mine.models);
    notify("This chat was deleted in another tab.");
    return;
  }
  const merged = mergeConversations(mine, stored);
  put(merged);
  if (!containsAll(stored, merged)) void store((open) => open.save(merged), id);
}

function put(conversation: Conversation): void {
  const { id } = conversation;
  if (id === currentId.peek()) current.value = conversation;
  if (background.has(id)) background.set(id, conversation);
}

/** Starts the write before it returns, so that a reload right after a change loses nothing.
 *  IndexedDB runs write transactions in order, so that an older state never overwrites a newer
 *  one, and reads see earlier writes: https://w3c.github.io/IndexedDB/#transaction-scheduling */
async function store(work: (open: ConversationStore) => Promise<void>, id: string): Promise<boolean> {
  try {
    await work(archive);
  } catch {
    // Once, not at every token of an answer.
    if (storage.peek() === "browser") {
      notify("Couldn't save this chat. Browser storage may be full.", { tone: "error", action: EXPORT });
      storage.value = "full";
    }
    return false;
  }
  reportChange(id);
  if (storage.peek() === "full") storage.value = "browser";
  if (storage.peek() === "browser") void askToPersist();
  return true;
}

const EXPORT = { label: "Export all chats", run: () => void exportAll() };

function updateHeadings(...conversations: Conversation[]): void {
  const changed = new Set(conversations.map(({ id }) => id));
  const others = headings.peek().filter(({ id }) => !changed.has(id));
  headings.value = newestFirst([...conversations.map(headingOf), ...others]);
}

export const find = (id: string): Conversation | null =>
  id === currentId.peek() ? current.peek() : (background.get(id) ?? null);

/** Changes a conversation that is open or still receiving answers, and stores it. */
export function change(id: string, apply: (conversation: Conversation) => Conversation): void {
  const before = find(id);
  if (!before) return;
  const after = apply(before);
  if (after === before) return;
  put(after);
  if (after.turns.length === 0) return;
  updateHeadings(after);
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
  shows += 1;
  current.value = newConversation(models, defaults.peek());
}

/** The answers at the end of a conversation, which appear first. */
const lastTexts = (conversation: Conversation): string[] =>
  path(conversation)
    .slice(-5)
    .flatMap(({ lanes }) => lanes.map((lane) => shownAnswer(lane).text));

let shows = 0;

/** Shows a stored conversation; false when the id is unknown. */
export async function show(id: string): Promise<boolean> {
  const number = (shows += 1);
  if (id === currentId.peek()) return true;
  const held = background.get(id);
  if (held) {
    current.value = held;
    return true;
  }
  const stored = await archive.load(id);
  if (!stored) return false;
  await prepareFor(lastTexts(stored));
  const interrupted = allAnswers(stored).some(isRunning) && !(await answeredElsewhere(id));
  // The user may have opened another one in the meantime.
  if (number === shows) current.value = interrupted ? closeInterrupted(stored) : stored;
  return true;
}

/** Changes any conversation, open or not. */
export async function changeStored(id: string, apply: (conversation: Conversation) => Conversation): Promise<void> {
  if (find(id)) return change(id, apply);
  const stored = await archive.load(id);
  if (!stored) return;
  const after = apply(stored);
  updateHeadings(after);
  await store((open) => open.save(after), id);
}

/** Deletes a conversation and offers to undo it. */
export async function remove(id: string): Promise<void> {
  const conversation = find(id) ?? (await archive.load(id));
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

/** Deletes all conversations and offers to undo it. The caller stops the answers first. */
export async function removeAll(): Promise<void> {
  const all = await everything();
  background.clear();
  batch(() => {
    headings.value = [];
    startNew(current.peek().models);
  });
  if (!(await store((open) => open.clear(), ALL))) return;
  notify(all.length === 1 ? "1 chat was deleted." : `${all.length.toLocaleString("en")} chats were deleted.`, {
    action: { label: "Undo", run: () => restoreAll(all) },
  });
}

function restoreAll(all: Conversation[]): void {
  updateHeadings(...all);
  void store((open) => open.save(...all), ALL);
}

function restore(conversation: Conversation): void {
  updateHeadings(conversation);
  void store((open) => open.save(conversation), conversation.id);
}

export async function search(query: string, abort: AbortSignal): Promise<Hit[]> {
  return archive.search(query, abort);
}

/** One conversation, open or not. */
export async function stored(id: string): Promise<Conversation | null> {
  const conversation = find(id) ?? (await archive.load(id));
  return conversation && closeInterrupted(conversation);
}

/** The text of an export: one conversation, or all. */
export async function exportText(id?: string): Promise<string> {
  if (id === undefined) return exported(await everything(), prompts.peek());
  const conversation = await stored(id);
  return exported(conversation ? [conversation] : []);
}

const exported = async (conversations: Conversation[], own: Prompt[] = []): Promise<string> =>
  exportFile(conversations, await contentsOf(conversations.flatMap(({ turns }) => turns)), own);

/** All conversations, those in memory too: when the storage is full, only they have the last messages. */
export async function everything(): Promise<Conversation[]> {
  const stored = new Map((await archive.all()).map((conversation) => [conversation.id, conversation]));
  for (const held of [...background.values(), current.peek()]) {
    if (held.turns.length > 0) stored.set(held.id, held);
  }
  return newestFirst([...stored.values()].map(closeInterrupted));
}

export async function exportAll(): Promise<void> {
  saveFile("chats.json", await exportText());
}

/** What an import changed. */
export interface Added {
  fresh: Conversation[];
  /** Stored chats that got messages. */
  extended: number;
  /** Stored chats that have all messages already. */
  known: number;
}

/** Adds imported chats. A stored chat gets the messages that it does not have; nothing of it is replaced. */
export async function addAll(found: Conversation[]): Promise<Added | null> {
  const ids = new Set(headings.peek().map(({ id }) => id));
  const fresh = found.filter(({ id }) => !ids.has(id));
  const extended: Conversation[] = [];
  for (const theirs of found.filter(({ id }) => ids.has(id))) {
    const mine = find(theirs.id) ?? (await archive.load(theirs.id));
    const more = mine && addMissing(mine, theirs);
    if (more) extended.push(more);
  }
  const changed = [...fresh, ...extended];
  if (changed.length > 0 && !(await store((open) => open.save(...changed), ALL))) return null;
  batch(() => {
    changed.forEach(put);
    updateHeadings(...changed);
  });
  return { fresh, extended: extended.length, known: found.length - changed.length };
}
