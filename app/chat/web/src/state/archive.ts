// Conversations in the browser's IndexedDB.
import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB } from "idb";
import { type Conversation, closeInterrupted } from "../domain/conversation";
import { type Hit, match } from "../domain/search";

/** The fields that the list shows, stored apart so that it loads without reading every conversation. */
export interface Heading {
  id: string;
  title: string;
  updatedAt: number;
}

interface Schema extends DBSchema {
  headings: { key: string; value: Heading };
  conversations: { key: string; value: Conversation };
}

const STORES = ["headings", "conversations"] as const;

export class Archive {
  private constructor(private readonly database: IDBPDatabase<Schema>) {}

  static async open(name = "chat"): Promise<Archive> {
    const database = await openDB<Schema>(name, 1, {
      upgrade(created) {
        for (const store of STORES) created.createObjectStore(store, { keyPath: "id" });
      },
    });
    return new Archive(database);
  }

  /** Newest first. */
  async headings(): Promise<Heading[]> {
    const headings = await this.database.getAll("headings");
    return headings.sort((one, other) => other.updatedAt - one.updatedAt);
  }

  async load(id: string): Promise<Conversation | null> {
    return (await this.database.get("conversations", id)) ?? null;
  }

  async all(): Promise<Conversation[]> {
    const found = await this.database.getAll("conversations");
    return found.map(closeInterrupted);
  }

  async save(...conversations: Conversation[]): Promise<void> {
    const transaction = this.database.transaction(STORES, "readwrite");
    for (const conversation of conversations) {
      const { id, title, updatedAt } = conversation;
      void transaction.objectStore("headings").put({ id, title, updatedAt });
      void transaction.objectStore("conversations").put(conversation);
    }
    await committed(transaction);
  }

  async remove(id: string): Promise<void> {
    const transaction = this.database.transaction(STORES, "readwrite");
    for (const store of STORES) void transaction.objectStore(store).delete(id);
    await committed(transaction);
  }

  /** Conversations that contain every word of the query, newest first. Stops when the signal aborts. */
  async search(query: string, signal: AbortSignal): Promise<Hit[]> {
    const hits: Hit[] = [];
    let cursor = await this.database.transaction("conversations").store.openCursor();
    while (cursor && !signal.aborted) {
      const hit = match(cursor.value, query);
      if (hit) hits.push(hit);
      cursor = await cursor.continue();
    }
    return hits.sort((one, other) => other.updatedAt - one.updatedAt);
  }
}

/** Commits without waiting for its requests, so that nothing is lost when the page is left. */
function committed(transaction: IDBPTransaction<Schema, typeof STORES, "readwrite">): Promise<void> {
  transaction.commit();
  return transaction.done;
}
