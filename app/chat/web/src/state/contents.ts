// The contents of attached files, in a database of their own: a chat is stored often, its files once.
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Contents } from "../domain/attachments";
import { type Turn, attachmentsIn } from "../domain/conversation";
import { notify } from "./notices";

interface Stored {
  id: string;
  content: string;
  storedAt: number;
}

interface Schema extends DBSchema {
  contents: { key: string; value: Stored };
}

/** What was read or written since the page was opened; everything, where the browser blocks its database. */
const held = new Map<string, string>();
/** Only here, because the browser refused to store them. */
const unstored = new Set<string>();
let heldCharacters = 0;
const MAX_HELD_CHARACTERS = 50_000_000;

let opened: Promise<IDBPDatabase<Schema> | null> | null = null;

const database = (): Promise<IDBPDatabase<Schema> | null> => (opened ??= openFiles().catch(() => null));

/** Async: where Firefox blocks storage, the name `indexedDB` throws. */
async function openFiles(): Promise<IDBPDatabase<Schema>> {
  return openDB<Schema>("chat.files", 1, {
    upgrade: (created) => void created.createObjectStore("contents", { keyPath: "id" }),
  });
}

function hold(id: string, content: string): void {
  if (!held.has(id)) heldCharacters += content.length;
  held.set(id, content);
  for (const [oldest, { length }] of held) {
    if (heldCharacters <= MAX_HELD_CHARACTERS) break;
    if (oldest === id || unstored.has(oldest)) continue;
    held.delete(oldest);
    heldCharacters -= length;
  }
}

export async function storeContents(contents: Contents): Promise<void> {
  for (const [id, content] of contents) {
    unstored.add(id);
    hold(id, content);
  }
  const open = await database();
  if (!open) return;
  try {
    const transaction = open.transaction("contents", "readwrite");
    for (const [id, content] of contents) void transaction.store.put({ id, content, storedAt: Date.now() });
    await transaction.done;
    for (const id of contents.keys()) unstored.delete(id);
  } catch {
    notify("Couldn't store the file. Browser storage may be full: the file is lost when you close this tab.", {
      tone: "error",
    });
  }
}

/** Adds contents with new ids; a content never changes. */
export async function importContents(contents: Contents): Promise<void> {
  const known = await Promise.all([...contents.keys()].map(loadContent));
  await storeContents(new Map([...contents].filter((_, at) => known[at] === null)));
}

/** The content of one attachment; null when the browser has deleted it. */
export async function loadContent(id: string): Promise<string | null> {
  const known = held.get(id);
  if (known !== undefined) return known;
  const stored = await (await database())?.get("contents", id).catch(() => undefined);
  if (!stored) return null;
  hold(id, stored.content);
  return stored.content;
}

/** The contents of all files that are attached to the turns. */
export async function contentsOf(turns: Turn[]): Promise<Contents> {
  const found = await Promise.all(attachmentsIn({ turns }).map(async ({ id }) => [id, await loadContent(id)] as const));
  return new Map(found.filter((entry): entry is [string, string] => entry[1] !== null));
}

const DAY_MS = 86_400_000;

/** Deletes what no chat and no draft uses. What was stored in the last day may belong to another tab or to Undo. */
export async function deleteUnused(used: () => Promise<ReadonlySet<string>>): Promise<void> {
  const open = await database();
  if (!open) return;
  const old: string[] = [];
  let cursor = await open.transaction("contents").store.openCursor();
  while (cursor) {
    if (cursor.value.storedAt < Date.now() - DAY_MS) old.push(cursor.value.id);
    cursor = await cursor.continue();
  }
  if (old.length === 0) return;
  const keep = await used();
  const transaction = open.transaction("contents", "readwrite");
  for (const id of old) if (!keep.has(id)) void transaction.store.delete(id);
  await transaction.done;
}
