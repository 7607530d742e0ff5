// Edited and deleted messages, also where another tab or a file still has the old ones.
import { expect, test } from "vitest";
import { type Conversation, DEFAULT_SAMPLING, newConversation, path } from "../src/domain/conversation";
import { addMissing, containsAll, mergeConversations } from "../src/domain/merge";
import { readImport } from "../src/domain/imports";
import { removeAnswer, removeTurn, restoreTurn, reviseAnswer, reviseQuestion } from "../src/domain/revision";
import { titleIn } from "../src/domain/titles";
import { exportFile } from "../src/domain/transfer";
import { talk } from "./talk";

const three = (): Conversation =>
  ["one", "two", "three"].reduce(
    (chat, text) => talk(chat, text, `answer ${text}`),
    newConversation(["a"], { system: "", sampling: DEFAULT_SAMPLING }),
  );
const questions = (chat: Conversation): string[] => path(chat).map(({ text }) => text);
const answerOf = (chat: Conversation, at: number) => path(chat)[at]!.lanes[0]!.answers[0]!;

test("a deleted message stays deleted in both tabs, and its followers stay", () => {
  const base = three();
  const mine = removeTurn(base, path(base)[1]!);
  const theirs = talk(base, "four", "answer four");
  for (const merged of [mergeConversations(mine, theirs), mergeConversations(theirs, mine)]) {
    expect(questions(merged)).toEqual(["one", "three", "four"]);
    expect(containsAll(theirs, merged)).toBe(false);
  }
});

test("a restored message is in its place, also after a merge with a tab that deleted it", () => {
  const base = three();
  const deleted = removeTurn(base, path(base)[1]!);
  const restored = restoreTurn(deleted, base, path(base)[1]!);
  expect(questions(restored)).toEqual(["one", "two", "three"]);
  expect(questions(mergeConversations(restored, deleted))).toEqual(["one", "two", "three"]);
  expect(() => readImport([exportFile([mergeConversations(deleted, restored)])], [])).not.toThrow();
});

test("the latest edit wins, whichever tab stores last", () => {
  const base = three();
  const { id } = answerOf(base, 0);
  const edited = reviseQuestion(reviseAnswer(base, id, "x", ""), path(base)[0]!.id, "ONE");
  for (const merged of [mergeConversations(edited, base), mergeConversations(base, edited)]) {
    expect([questions(merged)[0], answerOf(merged, 0).text]).toEqual(["ONE", "x"]);
    expect(containsAll(base, merged)).toBe(false);
    expect(containsAll(edited, merged)).toBe(true);
  }
});

test("an import replaces no edit and brings deleted messages back once", () => {
  const exported = three();
  const mine = removeTurn(reviseAnswer(exported, answerOf(exported, 0).id, "mine", ""), path(exported)[2]!);
  const merged = addMissing(mine, reviseAnswer(exported, answerOf(exported, 0).id, "theirs", ""))!;
  expect(questions(merged)).toEqual(["one", "two", "three"]);
  expect(answerOf(merged, 0).text).toBe("mine");
  expect(addMissing(merged, exported)).toBeNull();
});

test("the only answer leaves its place, one of several leaves the others", () => {
  const base = three();
  const emptied = removeAnswer(base, path(base)[0]!.id, answerOf(base, 0));
  expect(answerOf(emptied, 0)).toMatchObject({ text: "", state: "stopped" });
  expect(answerOf(mergeConversations(base, emptied), 0).text).toBe("");
});

test("deletions in a hostile file cannot hang the page", () => {
  const base = { ...three(), removed: { x: "y", y: "x" } };
  const orphan = { ...base, turns: base.turns.map((turn, at) => (at === 1 ? { ...turn, parent: "x" } : turn)) };
  expect(() => mergeConversations(orphan, orphan)).not.toThrow();
});

test.each<[string, string | null]>([
  ["Tides and the Moon", "Tides and the Moon"],
  ['Title: "Tides and the Moon."', "Tides and the Moon"],
  ["**潮の満ち引き**\n\nMore text", "潮の満ち引き"],
  ["<think>Hm.</think>Tides", "Tides"],
  ["<think>endless", null],
  ["", null],
  ["...", null],
  ["word ".repeat(13), null],
  ["x".repeat(81), null],
])("the title in %j is %j", (text, title) => {
  expect(titleIn(text)).toBe(title);
});
