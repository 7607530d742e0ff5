// Conversations in the browser's database.
import "fake-indexeddb/auto";
import { expect, test } from "vitest";
import { type Conversation, DEFAULT_SAMPLING, newConversation, rename } from "../src/domain/conversation";
import { Archive } from "../src/state/archive";

const named = (title: string, updatedAt: number): Conversation => ({
  ...rename(newConversation(["a"], { system: "", sampling: DEFAULT_SAMPLING }), title),
  updatedAt,
});

test("saves, lists newest first, finds, and removes", async () => {
  const archive = await Archive.open("test");
  const [old, young] = [named("Old one", 1), named("Young one", 2)];
  await archive.save(old, young);
  expect((await archive.headings()).map(({ title }) => title)).toEqual(["Young one", "Old one"]);
  expect(await archive.load(old.id)).toEqual(old);
  const hits = await archive.search("one", new AbortController().signal);
  expect(hits.map(({ title }) => title)).toEqual(["Young one", "Old one"]);
  await archive.remove(young.id);
  expect(await archive.load(young.id)).toBeNull();
  expect(await archive.headings()).toHaveLength(1);
});
