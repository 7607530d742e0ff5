// Levels of the headings in an answer, as screen readers report them.

/** The lowest level of the page's own headings above an answer. */
const ABOVE = 3;

/** A model may begin with any level and skip some: a heading is at most one level below the one before it. */
export function orderHeadings(answer: ParentNode): void {
  let before = ABOVE;
  for (const heading of answer.querySelectorAll<HTMLElement>("h4, h5, h6")) {
    const own = Number(heading.tagName.slice(1));
    before = Math.min(own, before + 1);
    if (before !== own) heading.ariaLevel = String(before);
  }
}
