// Prompts: variables, search, and when a slash opens the list.
import { expect, test } from "vitest";
import { type Prompt, filled, matching, slashQuery, variablesIn } from "../src/domain/prompts";

const prompt = (title: string, text: string): Prompt => ({ id: title, title, text, updatedAt: 0 });

test("variables are found once each and filled in", () => {
  const text = "{{ Sprache }} and {{text}} and {{text}}, not {{}} or {x}";
  expect(variablesIn(text)).toEqual(["Sprache", "text"]);
  expect(filled(text, new Map([["text", "$& {{text}}"]]))).toBe(
    "{{ Sprache }} and $& {{text}} and $& {{text}}, not {{}} or {x}",
  );
});

test("a search ignores case and accents, and prefers titles", () => {
  const all = [prompt("Other", "a résumé"), prompt("Résumé", "text"), prompt("None", "nothing")];
  expect(matching(all, "RESUME").map(({ title }) => title)).toEqual(["Résumé", "Other"]);
  expect(matching(all, "")).toHaveLength(3);
});

test.each<[string, number, string | null]>([
  ["/", 1, ""],
  ["/tra rest", 4, "tra"],
  ["/", 0, null],
  ["a/", 2, null],
  ["/etc/hosts", 10, null],
  ["/a\nb", 4, null],
])("the query in %j with the caret at %d", (text, caret, query) => {
  expect(slashQuery(text, caret)).toBe(query);
});
