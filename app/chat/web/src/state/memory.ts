// Conversations in memory, where the browser blocks IndexedDB: they last until the page is closed.
import type { Conversation } from "../domain/conversation";
import { type Hit, match } from "../domain/search";
import { type ConversationStore, type Heading, headingOf, newestFirst } from "./archive";

export class MemoryArchive implements ConversationStore {
  private readonly conversations = new Map<string, Conversation>();

  async headings(): Promise<Heading[]> {
    return newestFirst([...this.conversations.values()].map(headingOf));
  }

  async load(id: string): Promise<Conversation | null> {
    return this.conversations.get(id) ?? null;
  }

  async all(): Promise<Conversation[]> {
    return [...this.conversations.values()];
  }

  async save(...conversations: Conversation[]): Promise<void> {
    for (const conversation of conversations) this.conversations.set(conversation.id, conversation);
  }

  async remove(id: string): Promise<void> {
    this.conversations.delete(id);
  }

  async clear(): Promise<void> {
    this.conversations.clear();
  }

  async search(query: string): Promise<Hit[]> {
    const hits = [...this.conversations.values()].map((conversation) => match(conversation, query));
    return newestFirst(hits.filter((hit) => hit !== null));
  }
}
