// Markdown to markup, before sanitising. The rendered result is tested in the browser.
import { expect, test } from "vitest";
import { blocksOf, parser } from "../src/markdown/parser";

const html = (text: string): string =>
  blocksOf(text, {})
    .map(({ tokens }) => parser.renderer.render(tokens, parser.options, {}))
    .join("");

test.each([
  ["$x$", '<p><span class="math">x</span></p>\n'],
  ["\\(a<b\\)", '<p><span class="math">a&lt;b</span></p>\n'],
  ["$$\nx\n$$", '<div class="math">x</div>\n'],
  ["\\[ x \\]", '<div class="math">x</div>\n'],
  ["text\n$$x$$\nmore", '<p>text</p>\n<div class="math">x</div>\n<p>more</p>\n'],
])("%j is math", (text, expected) => expect(html(text)).toBe(expected));

test.each(["costs $5 and $6", "$ x $", "\\$x\\$", "`$x$`", "a $ b", "$$"])("%j is not math", (text) =>
  expect(html(text)).not.toContain("math"),
);

test("an image is a link to it", () => {
  const found = html("![a chart](https://example.org/c.png)");
  expect(found).not.toContain("<img");
  expect(found).toContain('href="https://example.org/c.png"');
});

test.each(["javascript:x", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "//example.org"])(
  "%j is not a link",
  (url) => expect(html(`[x](${url})`)).not.toContain("<a"),
);

test("raw markup is text", () => expect(html("<b onclick=x>")).toBe("<p>&lt;b onclick=x&gt;</p>\n"));

test("a block that is nested too deeply is shown as text, and the blocks after it are kept", () => {
  const found = html(`Before\n\n${"> ".repeat(500)}deep\n\nAfter`);
  expect(found).toContain("<p>Before</p>");
  expect(found).toContain("deep");
  expect(found).toContain("<p>After</p>");
  expect(found).not.toContain("<blockquote>");
});

test("blocks start at their first line", () => {
  expect(blocksOf("one\n\n- two\n- three\n\n```\nfour\n```\n", {}).map(({ line }) => line)).toEqual([0, 2, 5]);
});
