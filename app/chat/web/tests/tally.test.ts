// The results of votes for each pair of models.
import { expect, test } from "vitest";
import { type Conversation, DEFAULT_SAMPLING, TIE, ask, newConversation, vote } from "../src/domain/conversation";
import { tally } from "../src/domain/tally";

function voted(models: string[], choice: string): Conversation {
  const empty = newConversation(models, { system: "", sampling: DEFAULT_SAMPLING });
  const { conversation, turn } = ask(empty, null, "Q", models);
  return vote(conversation, turn.id, choice);
}

test("each pair has the wins of both models and the ties, in any order of the models", () => {
  const all = [voted(["a", "b"], "a"), voted(["b", "a"], "a"), voted(["a", "b"], "b"), voted(["a", "b"], TIE)];
  expect(tally(all)).toEqual([{ models: ["a", "b"], wins: [2, 1], ties: 1 }]);
});

test("of three models, the preferred one wins against both others", () => {
  expect(tally([voted(["a", "b", "c"], "b")])).toEqual([
    { models: ["a", "b"], wins: [0, 1], ties: 0 },
    { models: ["b", "c"], wins: [1, 0], ties: 0 },
  ]);
});
