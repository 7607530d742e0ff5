// Search in one conversation.
import { expect, test } from "vitest";
import { type Conversation, DEFAULT_SAMPLING, ask, changeAnswer, newConversation } from "../src/domain/conversation";
import { match } from "../src/domain/search";

function about(question: string, answer: string): Conversation {
  const { conversation, turn } = ask(
    newConversation(["a"], { system: "", sampling: DEFAULT_SAMPLING }),
    null,
    question,
    ["a"],
  );
  return changeAnswer(conversation, turn.lanes[0]!.answers[0]!.id, { state: "done", text: answer });
}

test("every word must occur, anywhere and in any case", () => {
  const conversation = about("Where do penguins live?", "In the SOUTH, mostly.");
  expect(match(conversation, "south Penguins")).not.toBeNull();
  expect(match(conversation, "north penguins")).toBeNull();
  expect(match(conversation, "  ")).toBeNull();
});

test("the excerpt shows the match in its surroundings", () => {
  const hit = match(about("Q", `${"before ".repeat(20)}needle${" after".repeat(20)}`), "NEEDLE");
  expect(hit?.excerpt?.match).toBe("needle");
  expect(hit?.excerpt?.before).toMatch(/^….*before $/);
});

test("accents are ignored on both sides, and the excerpt has the text as it was written", () => {
  expect(match(about("Q", "A café in Zürich"), "cafe")?.excerpt).toMatchObject({ before: "A ", match: "café" });
  expect(match(about("Q", "A cafe"), "CAFÉ")?.excerpt?.match).toBe("cafe");
});

test("a hit has the turn of the first match, and no excerpt that repeats the title", () => {
  const conversation = about("Only this", "Something else");
  const hit = match({ ...conversation, title: "Only this" }, "only");
  expect(hit).toMatchObject({ turnId: conversation.turns[0]!.id, excerpt: null });
});

test("letters that change length when case-folded do not break the excerpt", () => {
  expect(match(about("Q", "İstanbul is large"), "large")?.excerpt).not.toBeNull();
});
