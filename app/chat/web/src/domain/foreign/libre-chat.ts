// LibreChat's JSON export: one chat, with a list of messages or with answers inside the messages.
import type { ForeignFormat, ForeignMessage } from "./chat";
import { type Fields, fieldsOf, isObject, listOf, nameOf, textOf, timeOf } from "./values";

const messagesIn = (chat: Fields): unknown[] => listOf(chat["messagesTree"] ?? chat["messages"]);

export const libreChat: ForeignFormat = {
  program: "LibreChat",
  matches: (value) =>
    isObject(value) && nameOf(value["conversationId"]) !== null && "messageId" in fieldsOf(messagesIn(value)[0]),
  read(value) {
    const chat = fieldsOf(value);
    const messages = flatten(messagesIn(chat));
    return {
      id: textOf(chat["conversationId"]),
      title: textOf(chat["title"]),
      createdAt: messages[0]?.time ?? null,
      updatedAt: timeOf(chat["exportAt"]),
      pinned: false,
      system: textOf(fieldsOf(chat["options"])["promptPrefix"]),
      current: null,
      messages,
    };
  },
};

/** Each message before those inside it. */
function flatten(roots: unknown[]): ForeignMessage[] {
  const found: ForeignMessage[] = [];
  const open = roots.map((root) => ({ message: fieldsOf(root), above: null as string | null })).reverse();
  for (let next = open.pop(); next; next = open.pop()) {
    const { message, above } = next;
    const id = textOf(message["messageId"]);
    const user = message["isCreatedByUser"] === true;
    found.push({
      id,
      parent: above ?? nameOf(message["parentMessageId"]),
      role: user ? "user" : "assistant",
      ...read(message),
      model: nameOf(message["model"]) ?? (user ? null : nameOf(message["sender"])),
      time: timeOf(message["createdAt"]),
      files: listOf(message["files"]).length,
    });
    for (const child of listOf(message["children"]).toReversed()) open.push({ message: fieldsOf(child), above: id });
  }
  return found;
}

function read(message: Fields): { text: string; reasoning: string } {
  const parts = listOf(message["content"]).map(fieldsOf);
  const all = (name: string): string =>
    parts
      .filter(({ type }) => type === name)
      .map((part) => textOf(part[name]) || textOf(fieldsOf(part[name])["value"]))
      .filter(Boolean)
      .join("\n\n");
  return { text: all("text") || textOf(message["text"]), reasoning: all("think") };
}
