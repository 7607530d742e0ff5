// Files and images that are attached to a question, and the text that the model receives for them.

import * as v from "valibot";

/** An attached file. Its content is stored apart, under its id. */
export interface Attachment {
  id: string;
  kind: "text" | "image";
  name: string;
  /** Bytes of the user's file. */
  size: number;
  /** The estimated tokens of its content. */
  tokens: number;
  /** The pages of a PDF. */
  pages?: number | undefined;
}

/** The contents by the attachments' ids: the text, or an image as a data URL. */
export type Contents = ReadonlyMap<string, string>;

export type Part = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };

export const MAX_FILES = 10;
export const MAX_FILE_BYTES = 20 * 2 ** 20;
/** Characters of all texts of one question. */
export const MAX_TEXT = 2_000_000;
/** The only form in which an image is stored and sent. */
export const IMAGE_URL = /^data:image\/jpeg;base64,[A-Za-z0-9+/]+={0,2}$/;

const MAX_NAME = 120;
/** Control characters, line breaks, and characters that change the direction of the text around them. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu;

/** A file name without characters that could change the text around it. */
export function cleanName(name: string): string {
  const clean = name.replace(UNSAFE, " ").replace(/\s+/g, " ").trim() || "file";
  if (clean.length <= MAX_NAME) return clean;
  const end = /\.\w{1,8}$/.exec(clean)?.[0] ?? "";
  return `${[...clean.slice(0, MAX_NAME - end.length - 1)].join("")}…${end}`;
}

/** A fence that does not occur in the text, so that the text cannot close it. */
function fenceFor(text: string): string {
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map(({ length }) => length));
  return "`".repeat(Math.max(3, longest + 1));
}

const languageOf = (name: string): string => /\.([a-z0-9+#]{1,12})$/i.exec(name)?.[1]?.toLowerCase() ?? "";

function textBlock({ name, pages }: Attachment, content: string): string {
  const fence = fenceFor(content);
  const language = pages === undefined ? languageOf(name) : "";
  return `Attached file: ${name.replace(/`/g, "'")}\n${fence}${language}\n${content.trimEnd()}\n${fence}`;
}

/**
 * What a model receives for a question with attachments. Without `vision`, an image is named only. A content
 * that the browser has deleted is named as missing.
 */
export function contentOf(
  text: string,
  attachments: Attachment[],
  contents: Contents,
  vision: boolean,
): string | Part[] {
  const images: Part[] = [];
  const blocks: string[] = [];
  for (const attachment of attachments) {
    const content = contents.get(attachment.id);
    if (content === undefined) blocks.push(`[${attachment.name}: this file is no longer available]`);
    else if (attachment.kind === "text") blocks.push(textBlock(attachment, content));
    else if (vision) images.push({ type: "image_url", image_url: { url: content } });
    else blocks.push(`[Image: ${attachment.name}]`);
  }
  const whole = [...blocks, text].filter(Boolean).join("\n\n");
  if (images.length === 0) return whole;
  return whole ? [...images, { type: "text", text: whole }] : images;
}

/** Vision models use about one token for each patch of 28 by 28 pixels. */
export const imageTokens = (width: number, height: number): number => Math.ceil(width / 28) * Math.ceil(height / 28);

export const tokensOf = (attachments: Attachment[] | undefined): number =>
  (attachments ?? []).reduce((sum, { tokens }) => sum + tokens, 0);

const UNITS = ["bytes", "kB", "MB"];

/** A size in bytes as people read it. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** Of stored and imported attachments. */
export const attachmentSchema = v.object({
  id: v.pipe(v.string(), v.regex(/^[\w-]{1,64}$/, "must be 1 to 64 letters, digits, _ or -")),
  kind: v.picklist(["text", "image"]),
  name: v.pipe(v.string(), v.maxLength(1000), v.transform(cleanName)),
  size: v.pipe(v.number(), v.minValue(0)),
  tokens: v.pipe(v.number(), v.minValue(0)),
  pages: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
});
