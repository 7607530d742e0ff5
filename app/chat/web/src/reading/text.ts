// Reads text files of any name: UTF-8, or UTF-16 with a byte order mark.
import { Unreadable } from "./unreadable";

const SPACE = 0x20;
/** Tab, line breaks, form feed, escape: the only control characters in texts. */
const IN_TEXTS = [9, 10, 11, 12, 13, 27];

function isBinary(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < SPACE && !IN_TEXTS.includes(code)) return true;
  }
  return false;
}

export function readText(bytes: Uint8Array): string {
  const utf16 =
    bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : null;
  let text: string;
  try {
    text = new TextDecoder(utf16 ?? "utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Unreadable("is not a text in UTF-8, a PDF or an image");
  }
  if (isBinary(text)) throw new Unreadable("is not a text, a PDF or an image");
  if (text.trim() === "") throw new Unreadable("is empty");
  return text.replace(/\r\n?/g, "\n");
}
