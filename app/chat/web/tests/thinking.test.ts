// Separating a model's thinking from its answer.
import { expect, test } from "vitest";
import { splitThinking } from "../src/domain/thinking";

test.each([
  ["Only an answer", "", "", "Only an answer", true],
  ["<think>Hm", "", "Hm", "", false],
  ["<think>Hm</think>\n\nYes", "", "Hm", "Yes", true],
  ["\n<thinking>Hm</thinking>Yes", "", "Hm", "Yes", true],
  ["The opening was in the prompt</think>Yes", "", "The opening was in the prompt", "Yes", true],
  ["Say <think> in the middle", "", "", "Say <think> in the middle", true],
  ["", "Sent apart", "Sent apart", "", false],
  ["Yes", "Sent apart", "Sent apart", "Yes", true],
])("%j with %j", (text, reasoning, thinking, answer, closed) => {
  expect(splitThinking(text, reasoning)).toEqual({ thinking, answer, closed });
});
