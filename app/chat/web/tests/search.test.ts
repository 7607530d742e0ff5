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

test("letters that change length when case-folded do not break the excerpt", () => {
  expect(match(about("Q", "İstanbul is large"), "large")?.excerpt).not.toBeNull();
});
