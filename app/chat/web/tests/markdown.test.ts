// Markdown to markup, before sanitising. The rendered result is tested in the browser.
import { expect, test } from "vitest";
import { blocksOf, render } from "../src/markdown/parser";
import { rowsOf } from "../src/markdown/rows";

const html = (text: string): string =>
  blocksOf(text, {})
    .map(({ tokens }) => render(tokens, {}))
    .join("");

test.each([
  ["$x$", '<p dir="auto"><span class="math">x</span></p>\n'],
  ["\\(a<b\\)", '<p dir="auto"><span class="math">a&lt;b</span></p>\n'],
  ["$$\nx\n$$", '<div class="math">x</div>\n'],
  ["\\[ x \\]", '<div class="math">x</div>\n'],
  ["text\n$$x$$\nmore", '<p dir="auto">text</p>\n<div class="math">x</div>\n<p dir="auto">more</p>\n'],
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

test("raw markup is text", () => expect(html("<b onclick=x>")).toBe('<p dir="auto">&lt;b onclick=x&gt;</p>\n'));

test("a block that is nested too deeply is shown as text, and the blocks after it are kept", () => {
  const found = html(`Before\n\n${"> ".repeat(500)}deep\n\nAfter`);
  expect(found).toContain('<p dir="auto">Before</p>');
  expect(found).toContain("deep");
  expect(found).toContain('<p dir="auto">After</p>');
  expect(found).not.toContain("<blockquote>");
});

test("blocks start at their first line", () => {
  expect(blocksOf("one\n\n- two\n- three\n\n```\nfour\n```\n", {}).map(({ line }) => line)).toEqual([0, 2, 5]);
});

test.each([
  ["a line\nanother", '<p dir="auto">a line<br>\nanother</p>\n'],
  ["a<br>b<BR/>c", '<p dir="auto">a<br>b<br>c</p>\n'],
  ["H<sub>2</sub>O, <kbd>Esc</kbd>", '<p dir="auto">H<sub>2</sub>O, <kbd>Esc</kbd></p>\n'],
  ["see www.example.org/a?b=c.", '<a href="https://www.example.org/a?b=c"'],
  ["- [ ] open\n- [x] done", '<li class="task">☐ open</li>\n<li class="task">☑ done</li>'],
  ["- [ ]", "<li>[ ]</li>"],
  ["| a |\n|---|\n| 1<br>2 |", '<td dir="auto">1<br>2</td>'],
  ["שלום", '<p dir="auto">שלום</p>'],
  ["# One", '<h4 dir="auto" class="level-1">One</h4>'],
  ["###### Six", '<h6 dir="auto" class="level-6">Six</h6>'],
  ["So[^1].\n\n[^1]: A note", 'So<sup class="footnote">[1]</sup>'],
  ["So[^1].\n\n[^1]: A note", '<div class="footnotes" dir="auto"><ol><li><p>A note</p>\n</li></ol></div>'],
  [
    "<details open>\n<summary>A *b*</summary>\n\n- c\n</details>\nd",
    '<details dir="auto">\n<summary>A <em>b</em></summary>\n<ul dir="auto">\n<li>c</li>\n</ul>\n</details>\n<p dir="auto">d</p>',
  ],
  ["<details><summary>a</summary>b</details>", '<summary>a</summary>\n<p dir="auto">b</p>\n</details>'],
  ["<details>\nb", '<summary>Details</summary>\n<p dir="auto">b</p>\n</details>'],
  [
    "<details><summary>a</summary>\n<details><summary>b</summary>c</details>\n</details>\nd",
    "</details>\n</details>\n<p",
  ],
])("%j", (text, expected) => expect(html(text)).toContain(expected));

test("details in details end at a fixed depth", () => {
  const found = html(`${"<details>\n".repeat(2000)}deep`);
  expect(found.match(/<details/g)).toHaveLength(4);
  expect(found).toContain("deep");
});

test.each(["setup.py", "<sub onclick=x>", "<br onload=x>", "<u/x>"])("%j stays text", (text) =>
  expect(html(text)).toMatch(/^<p dir="auto">(?:setup\.py|&lt;.*&gt;)<\/p>\n$/),
);

test("rows of a table begin at their lines, also behind another block", () => {
  const [, table] = blocksOf("text\n\n| a |\n|---|\n| 1 |\n| 2 |\n", {});
  expect(rowsOf(table!).map(({ line }) => line)).toEqual([4, 5]);
  expect(rowsOf(table!).map(({ tokens }) => tokens.find(({ type }) => type === "inline")?.content)).toEqual(["1", "2"]);
});

test("a table without rows has none", () => expect(rowsOf(blocksOf("| a |\n|---|\n", {})[0]!)).toEqual([]));
