// Exported files import unchanged; invalid ones are rejected with the path.
import { expect, test } from "vitest";
import { type Conversation, DEFAULT_SAMPLING, ask, changeAnswer, newConversation } from "../src/domain/conversation";
import { readImport } from "../src/domain/imports";
import { exportFile } from "../src/domain/transfer";

const importFile = (source: string) => readImport([source], []);

function sample(): Conversation {
  const { conversation, turn } = ask(newConversation(["a"], { system: "s", sampling: DEFAULT_SAMPLING }), null, "Hi", [
    "a",
  ]);
  return changeAnswer(conversation, turn.lanes[0]!.answers[0]!.id, { state: "done", text: "Hello" });
}

test("an export imports unchanged", () => {
  const conversations = [sample(), sample()];
  expect(importFile(exportFile(conversations)).conversations).toEqual(conversations);
});

test("attached files are in the export; an import takes only images that this page writes", () => {
  const file = (id: string, kind: "text" | "image") => ({ id, kind, name: id, size: 1, tokens: 1 });
  const files = [file("notes", "text"), file("photo", "image"), file("hostile", "image")];
  const { conversation } = ask(
    newConversation(["a"], { system: "", sampling: DEFAULT_SAMPLING }),
    null,
    "",
    ["a"],
    files,
  );
  const contents = new Map([
    ["notes", "some text"],
    ["photo", "data:image/jpeg;base64,/9j/4AAQ"],
    ["hostile", "data:text/html;base64,PHNjcmlwdD4="],
    ["unused", "text"],
  ]);
  const imported = importFile(exportFile([conversation], contents));
  expect(imported.conversations[0]!.turns[0]!.attachments).toEqual(files);
  expect([...imported.contents.keys()]).toEqual(["notes", "photo"]);
});

test.each<[string, (file: any) => unknown, string]>([
  ["not JSON", () => undefined, "not a JSON file"],
  ["another format", () => ({ conversations: [] }), "isn't a chat export"],
  ["a list", () => [], "isn't a chat export"],
  ["null", () => null, "isn't a chat export"],
  ["a newer version", (file) => ({ ...file, version: 2 }), "newer version (2)"],
  ["a wrong type", (file) => ((file.conversations[0].title = 1), file), "conversations.0.title"],
  ["a hostile id", (file) => ((file.conversations[0].id = "../../x"), file), "conversations.0.id"],
  [
    "an empty list of answers",
    (file) => ((file.conversations[0].turns[0].lanes[0].answers = []), file),
    "conversations.0.turns.0.lanes.0.answers",
  ],
  [
    "an unknown parent",
    (file) => ((file.conversations[0].turns[0].parent = "x"), file),
    "conversations.0.turns.0.parent",
  ],
  [
    "a temperature above the maximum",
    (file) => ((file.conversations[0].sampling.temperature = 9), file),
    "conversations.0.sampling.temperature",
  ],
])("%s is rejected", (_name, spoil, message) => {
  const source = JSON.stringify(spoil(JSON.parse(exportFile([sample()])))) ?? "{";
  expect(() => importFile(source)).toThrow(message);
});
