// Two tabs change one conversation: no message is lost.
import { expect, test } from "vitest";
import {
  type Conversation,
  DEFAULT_SAMPLING,
  ask,
  changeAnswer,
  newConversation,
  path,
  rename,
} from "../src/domain/conversation";
import { containsAll, mergeConversations } from "../src/domain/merge";
import { talk } from "./talk";

const begun = (): Conversation =>
  talk(newConversation(["a"], { system: "", sampling: DEFAULT_SAMPLING }), "one", "first");
const questions = ({ turns }: Conversation): string[] => turns.map(({ text }) => text).sort();
const answerOf = (conversation: Conversation, at: number) => conversation.turns[at]!.lanes[0]!.answers[0]!;

test("questions of both tabs are kept, and both tabs come to the same messages", () => {
  const base = begun();
  const mine = talk(base, "mine", "m");
  const theirs = talk(base, "theirs", "t");
  const merged = mergeConversations(mine, theirs);
  expect(questions(merged)).toEqual(["mine", "one", "theirs"]);
  expect(questions(mergeConversations(theirs, mine))).toEqual(questions(merged));
  expect(path(merged).map(({ text }) => text)).toEqual(["one", "mine"]);
  expect(containsAll(theirs, merged)).toBe(false);
  expect(containsAll(mergeConversations(theirs, mine), merged)).toBe(true);
});

test("a question of the other tab is displayed when it follows the last one", () => {
  const base = begun();
  expect(path(mergeConversations(base, talk(base, "two", "t"))).map(({ text }) => text)).toEqual(["one", "two"]);
});

test("a complete answer replaces an incomplete one, and a longer one a shorter one", () => {
  const { conversation: asked, turn } = ask(begun(), null, "two", ["a"]);
  const { id } = turn.lanes[0]!.answers[0]!;
  const short = changeAnswer(asked, id, { state: "streaming", text: "O" });
  const long = changeAnswer(asked, id, { state: "streaming", text: "Once" });
  const done = changeAnswer(asked, id, { state: "done", text: "On" });
  expect(answerOf(mergeConversations(short, long), 1).text).toBe("Once");
  expect(answerOf(mergeConversations(long, short), 1).text).toBe("Once");
  expect(answerOf(mergeConversations(long, done), 1)).toMatchObject({ state: "done", text: "On" });
  expect(answerOf(mergeConversations(done, long), 1)).toMatchObject({ state: "done", text: "On" });
});

test("the newer title wins", () => {
  const base = { ...begun(), updatedAt: 1 };
  const renamed = rename(base, "New name");
  expect(mergeConversations(base, renamed).title).toBe("New name");
  expect(mergeConversations(renamed, base).title).toBe("New name");
});
