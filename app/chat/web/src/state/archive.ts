// Conversations in the browser's IndexedDB.
import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB } from "idb";
import type { Conversation } from "../domain/conversation";
import { type Hit, match } from "../domain/search";

/** The fields that the list shows, stored apart so that it loads without reading every conversation. */
export interface Heading {
  id: string;
  title: string;
  updatedAt: number;
  pinned?: boolean | undefined;
}

export const headingOf = ({ id, title, updatedAt, pinned }: Conversation): Heading => ({
  id,
  title,
  updatedAt,
  ...(pinned && { pinned }),
});

export interface ConversationStore {
  /** Newest first. */
  headings(): Promise<Heading[]>;
  load(id: string): Promise<Conversation | null>;
  all(): Promise<Conversation[]>;
  save(...conversations: Conversation[]): Promise<void>;
  remove(id: string): Promise<void>;
  clear(): Promise<void>;
  /** Conversations that contain every word of the query, newest first. Stops when the signal aborts. */
  search(query: string, signal: AbortSignal): Promise<Hit[]>;
}

export const newestFirst = <T extends { updatedAt: number }>(entries: T[]): T[] =>
  entries.sort((one, other) => other.updatedAt - one.updatedAt);

interface Schema extends DBSchema {
  headings: { key: string; value: Heading };
  conversations: { key: string; value: Conversation };
}

const STORES = ["headings", "conversations"] as const;

export class Archive implements ConversationStore {
  private constructor(private readonly database: IDBPDatabase<Schema>) {}

  static async open(name = "chat"): Promise<Archive> {
    const database = await openDB<Schema>(name, 1, {
      upgrade(created) {
        for (const store of STORES) created.createObjectStore(store, { keyPath: "id" });
      },
    });
    return new Archive(database);
  }

  async headings(): Promise<Heading[]> {
    return newestFirst(await this.database.getAll("headings"));
  }

  async load(id: string): Promise<Conversation | null> {
    return (await this.database.get("conversations", id)) ?? null;
  }

  async all(): Promise<Conversation[]> {
    return this.database.getAll("conversations");
  }

  async save(...conversations: Conversation[]): Promise<void> {
    const transaction = this.database.transaction(STORES, "readwrite");
    for (const conversation of conversations) {
      void transaction.objectStore("headings").put(headingOf(conversation));
      void transaction.objectStore("conversations").put(conversation);
    }
    await committed(transaction);
  }

  async remove(id: string): Promise<void> {
    const transaction = this.database.transaction(STORES, "readwrite");
    for (const store of STORES) void transaction.objectStore(store).delete(id);
    await committed(transaction);
  }

  async clear(): Promise<void> {
    const transaction = this.database.transaction(STORES, "readwrite");
    for (const store of STORES) void transaction.objectStore(store).clear();
    await committed(transaction);
  }

  async search(query: string, signal: AbortSignal): Promise<Hit[]> {
    const hits: Hit[] = [];
    let cursor = await this.database.transaction("conversations").store.openCursor();
    while (cursor && !signal.aborted) {
      const hit = match(cursor.value, query);
      if (hit) hits.push(hit);
      cursor = await cursor.continue();
    }
    return newestFirst(hits);
  }
}

/** Commits without waiting for its requests, so that nothing is lost when the page is left. */
function committed(transaction: IDBPTransaction<Schema, typeof STORES, "readwrite">): Promise<void> {
  transaction.commit();
  return transaction.done;
}
