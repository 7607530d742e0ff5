// The user's prompts in IndexedDB; in memory, where the browser blocks it.
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import { signal } from "@preact/signals";
import { newId } from "../domain/conversation";
import { MAX_PROMPT_TEXT, MAX_PROMPT_TITLE, type Prompt } from "../domain/prompts";
import { openPanel } from "./layout";
import { notify } from "./notices";
import { reportPrompts, listenToPrompts } from "./tabs";

interface Schema extends DBSchema {
  prompts: { key: string; value: Prompt };
}

/** By title. */
export const prompts = signal<Prompt[]>([]);

/** The prompt in the form; without an id while it is new. */
export const editedPrompt = signal<Omit<Prompt, "updatedAt"> | null>(null);

let database: IDBPDatabase<Schema> | null = null;

const byTitle = new Intl.Collator("en", { sensitivity: "base", numeric: true });

const show = (all: Prompt[]): void => {
  prompts.value = all.sort((one, other) => byTitle.compare(one.title, other.title));
};

export async function openPrompts(): Promise<void> {
  try {
    database = await openDB<Schema>("chat.prompts", 1, {
      upgrade: (created) => void created.createObjectStore("prompts", { keyPath: "id" }),
    });
    await reload();
    listenToPrompts(() => void reload());
  } catch {
    database = null;
  }
}

async function reload(): Promise<void> {
  if (database) show(await database.getAll("prompts"));
}

async function write(work: (open: IDBPDatabase<Schema>) => Promise<unknown>): Promise<void> {
  try {
    if (database) await work(database);
    reportPrompts();
  } catch {
    notify("Couldn't save the prompt. Browser storage may be full.", { tone: "error" });
  }
}

export async function savePrompt({ id, title, text }: Omit<Prompt, "updatedAt">): Promise<void> {
  const saved = { id: id || newId(), title, text, updatedAt: Date.now() };
  show([...prompts.peek().filter((other) => other.id !== saved.id), saved]);
  await write((open) => open.put("prompts", saved));
}

export async function deletePrompt(id: string): Promise<void> {
  show(prompts.peek().filter((other) => other.id !== id));
  await write((open) => open.delete("prompts", id));
}

export async function restorePrompt(prompt: Prompt): Promise<void> {
  await savePrompt(prompt);
}

/** Adds imported prompts; returns how many were new. A prompt that is here already stays as it is. */
export async function addPrompts(found: Prompt[]): Promise<number> {
  const known = prompts.peek();
  const isKnown = (prompt: Prompt): boolean =>
    known.some(({ id, title, text }) => id === prompt.id || (title === prompt.title && text === prompt.text));
  const fresh = found.filter((prompt) => !isKnown(prompt));
  if (fresh.length === 0) return 0;
  show([...known, ...fresh]);
  await write(async (open) => {
    const transaction = open.transaction("prompts", "readwrite");
    for (const prompt of fresh) void transaction.store.put(prompt);
    await transaction.done;
  });
  return fresh.length;
}

/** Opens the form with a new prompt, made of a message. */
export function editNewPrompt(text = ""): void {
  const title = text.trim().split("\n", 1)[0]!.slice(0, MAX_PROMPT_TITLE).trim();
  editedPrompt.value = { id: "", title, text: text.slice(0, MAX_PROMPT_TEXT) };
  openPanel("prompts");
}
