// The export of llama.cpp's own page: chats, each with a list of messages with parents.
import type { ForeignFormat } from "./chat";
import { fieldsOf, isObject, listOf, nameOf, textOf, timeOf } from "./values";

export const llamaCpp: ForeignFormat = {
  program: "llama.cpp",
  matches: (value) => isObject(value) && isObject(value["conv"]) && Array.isArray(value["messages"]),
  read(value) {
    const { conv, messages } = fieldsOf(value);
    const chat = fieldsOf(conv);
    return {
      id: textOf(chat["id"]),
      title: textOf(chat["name"]),
      createdAt: timeOf(fieldsOf(listOf(messages)[0])["timestamp"]),
      updatedAt: timeOf(chat["lastModified"]),
      pinned: chat["pinned"] === true,
      system: "",
      current: nameOf(chat["currNode"]),
      messages: listOf(messages).map((entry) => {
        const message = fieldsOf(entry);
        const { role } = message;
        const root = message["type"] === "root";
        return {
          id: textOf(message["id"]),
          parent: nameOf(message["parent"]),
          role: !root && (role === "user" || role === "assistant" || role === "system") ? role : "none",
          text: textOf(message["content"]),
          reasoning: textOf(message["reasoningContent"]) || textOf(message["thinking"]),
          model: nameOf(message["model"]),
          time: timeOf(message["timestamp"]),
          files: listOf(message["extra"]).length,
        };
      }),
    };
  },
};
