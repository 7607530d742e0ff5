// Sanitises generated markup; the only way of markup into the document.
import createPurify from "dompurify";

const TAGS = [
  "a",
  "blockquote",
  "br",
  "code",
  "del",
  "details",
  "div",
  "em",
  "h4",
  "h5",
  "h6",
  "hr",
  "kbd",
  "li",
  "mark",
  "ol",
  "p",
  "pre",
  "s",
  "span",
  "strong",
  "sub",
  "summary",
  "sup",
  "table",
  "tbody",
  "td",
  "th",
  "thead",
  "tr",
  "u",
  "ul",
];
const PLAIN_ATTRIBUTES = ["class", "data-language", "dir", "rel", "start", "tabindex", "target"];
const LINK = /^(?:https?:|mailto:)/i;

const purify = createPurify(window);
// Set once: DOMPurify would parse a per-call configuration every time.
purify.setConfig({
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: [...PLAIN_ATTRIBUTES, "href"],
  ADD_URI_SAFE_ATTR: PLAIN_ATTRIBUTES,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: LINK,
  RETURN_DOM_FRAGMENT: true,
});

/** Markup as nodes, without the elements and attributes that Markdown does not need. */
export function toFragment(html: string): DocumentFragment {
  return purify.sanitize(html) as unknown as DocumentFragment;
}
