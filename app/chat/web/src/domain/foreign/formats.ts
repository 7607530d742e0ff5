// The programs whose chats can be imported.
import type { ForeignFormat } from "./chat";
import { chatgpt } from "./chatgpt";
import { libreChat } from "./libre-chat";
import { llamaCpp } from "./llama-cpp";
import { openWebUi } from "./open-webui";

const FORMATS: ForeignFormat[] = [chatgpt, openWebUi, libreChat, llamaCpp];

/** The format of a parsed file, and its chats; null when it is none of them. */
export function recognise(content: unknown): { format: ForeignFormat; chats: unknown[] } | null {
  const chats = Array.isArray(content) ? content : [content];
  // One damaged chat must not hide the others.
  for (const format of FORMATS) if (chats.some(format.matches)) return { format, chats };
  return null;
}
