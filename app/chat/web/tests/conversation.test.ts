// Changes to a conversation, and the requests built from it.
import { expect, test } from "vitest";
import {
  type Conversation,
  DEFAULT_SAMPLING,
  allAnswers,
  ask,
  askAgain,
  changeAnswer,
  closeInterrupted,
  newConversation,
  path,
  rename,
  showTurn,
  titleFrom,
  versions,
} from "../src/domain/conversation";
import { messagesFor, requestFor } from "../src/domain/prompt";

const empty = (): Conversation => newConversation(["a"], { system: "", sampling: DEFAULT_SAMPLING });

/** Adds a question and a complete answer of every model. */
function talk(
  before: Conversation,
  text: string,
  models = ["a"],
  parent = path(before).at(-1)?.id ?? null,
): Conversation {
  const { conversation, turn } = ask(before, parent, text, models);
  return turn.lanes.reduce(
    (now, lane) => changeAnswer(now, lane.answers[0]!.id, { state: "done", text: `${lane.model} on ${text}` }),
    conversation,
  );
}

const texts = (conversation: Conversation): string[] => path(conversation).map((turn) => turn.text);

test("the first question sets the title; a title chosen by the user stays", () => {
  expect(talk(empty(), "How tall is it?\nReally").title).toBe("How tall is it?");
  expect(talk(rename(empty(), " Mine "), "How tall?").title).toBe("Mine");
  expect(titleFrom("word ".repeat(40))).toMatch(/^(word ){5,}word…$/);
});

test("an edited question opens a branch, and the first one can be shown again", () => {
  const first = talk(talk(empty(), "one"), "two");
  const edited = talk(first, "uno", ["a"], null);
  expect(texts(edited)).toEqual(["uno"]);
  const [original, copy] = versions(edited, path(edited)[0]!);
  expect([original?.text, copy?.text]).toEqual(["one", "uno"]);
  expect(texts(showTurn(edited, original!))).toEqual(["one", "two"]);
});

test("a loop in the displayed path ends", () => {
  const talked = talk(talk(empty(), "one"), "two");
  const [one, two] = path(talked);
  const looped = { ...talked, shown: { ...talked.shown, [two!.id]: one!.id } };
  expect(texts(looped).length).toBeLessThanOrEqual(3);
});

test("each model receives its own answers as history, a new model those of the first model", () => {
  const both = talk(empty(), "one", ["a", "b"]);
  const { conversation, turn } = ask(both, path(both)[0]!.id, "two", ["b", "c"]);
  const history = (model: string): unknown => messagesFor(conversation, turn.id, model)[1]?.content;
  expect(history("b")).toBe("b on one");
  expect(history("c")).toBe("a on one");
});

test("thinking is not sent back; a cut answer is sent to be continued", () => {
  const talked = talk(empty(), "one");
  const thought = changeAnswer(talked, allAnswers(talked)[0]!.id, { text: "<think>Hm</think>Yes" });
  const { conversation, turn } = ask({ ...thought, system: "Be brief" }, path(thought)[0]!.id, "two", ["a"]);
  expect(messagesFor(conversation, turn.id, "a", { partial: "It is" })).toEqual([
    { role: "system", content: "Be brief" },
    { role: "user", content: "one" },
    { role: "assistant", content: "Yes" },
    { role: "user", content: "two" },
    { role: "assistant", content: "It is" },
  ]);
});

test("a repeated question leaves out the answer it replaces", () => {
  const talked = talk(empty(), "one");
  const turn = path(talked)[0]!;
  const { conversation } = askAgain(talked, turn.id, "a");
  expect(messagesFor(conversation, turn.id, "a")).toEqual([{ role: "user", content: "one" }]);
  expect(path(conversation)[0]!.lanes[0]!.shown).toBe(1);
});

test("only the sampling that was chosen is sent", () => {
  const { conversation, turn } = ask(empty(), null, "one", ["a"]);
  const set = { temperature: 0, topP: null, maxTokens: null, seed: 0 };
  const request = requestFor({ ...conversation, sampling: set }, turn.id, "a");
  expect(request).toMatchObject({ temperature: 0, seed: 0 });
  expect(request).not.toHaveProperty("top_p");
  expect(request).not.toHaveProperty("max_tokens");
});

test("answers that were streaming when the page closed become failures", () => {
  const { conversation } = ask(empty(), null, "one", ["a"]);
  const [answer] = allAnswers(closeInterrupted(conversation));
  expect(answer).toMatchObject({ state: "failed", failure: { kind: "lost" } });
});
