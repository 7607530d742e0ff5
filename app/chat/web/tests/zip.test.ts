// The archive that OpenAI sends: which files are read, and when reading ends.
import { expect, test } from "vitest";
import { readChats, writeZip } from "../src/reading/zip";

const zip = (files: Record<string, string>): Blob => new Blob([writeZip(new Map(Object.entries(files)))]);

test("all files with chats are read, and no others", async () => {
  const archive = zip({
    "export/conversations-000.json": "[1]",
    "export/conversations-001.json": '["é"]',
    "export/user.json": "{}",
    "chat.html": "<html>",
  });
  expect(await readChats(archive)).toEqual(["[1]", '["é"]']);
});

test("reading ends at the limit, however small the archive is", async () => {
  const archive = zip({ "conversations.json": " ".repeat(1_000_000) });
  expect(archive.size).toBeLessThan(5000);
  await expect(readChats(archive, 100_000)).rejects.toThrow("too large");
});

test("an archive without chats, and one that is cut, are refused", async () => {
  await expect(readChats(zip({ "user.json": "{}" }))).rejects.toThrow("no chats");
  await expect(readChats(zip({ "conversations.json": "[1]" }).slice(0, 40))).rejects.toThrow("zip file");
});
