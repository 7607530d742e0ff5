// Open WebUI's export: an array of rows, each with a chat and its history of messages with parents.
import { type ForeignFormat, type ForeignMessage, chained } from "./chat";
import { type Fields, fieldsOf, isObject, listOf, nameOf, textOf, timeOf } from "./values";

export const openWebUi: ForeignFormat = {
  program: "Open WebUI",
  matches: (value) => {
    const chat = fieldsOf(fieldsOf(value)["chat"]);
    return isObject(fieldsOf(chat["history"])["messages"]) || Array.isArray(chat["messages"]);
  },
  read(value) {
    const row = fieldsOf(value);
    const chat = fieldsOf(row["chat"]);
    const history = fieldsOf(chat["history"]);
    return {
      id: textOf(row["id"]) || textOf(chat["id"]),
      title: textOf(row["title"]) || textOf(chat["title"]),
      createdAt: timeOf(row["created_at"]) ?? timeOf(chat["timestamp"]),
      updatedAt: timeOf(row["updated_at"]),
      pinned: row["pinned"] === true,
      system: textOf(fieldsOf(chat["params"])["system"]) || textOf(chat["system"]),
      current: nameOf(history["currentId"]),
      messages: isObject(history["messages"])
        ? Object.entries(history["messages"]).map(([id, message]) => messageOf(id, fieldsOf(message)))
        : chained(listOf(chat["messages"]).map((message, index) => messageOf(String(index), fieldsOf(message)))),
      compared: new Set(
        Object.entries(fieldsOf(history["messages"]))
          .filter(([, message]) => listOf(fieldsOf(message)["models"]).length > 1)
          .map(([id]) => id),
      ),
    };
  },
};

function messageOf(id: string, message: Fields): ForeignMessage {
  const role = message["role"];
  return {
    id,
    parent: nameOf(message["parentId"]),
    role: role === "user" || role === "assistant" || role === "system" ? role : "none",
    ...splitReasoning(textOf(message["content"])),
    model: nameOf(message["model"]),
    time: timeOf(message["timestamp"]),
    files: listOf(message["files"]).length,
  };
}

/** Thinking is a quotation in the text: <details type="reasoning"><summary>…</summary> > … </details>. */
const REASONING = /<details type="reasoning"[^>]{0,500}>\s*(?:<summary>[^<]*<\/summary>)?([\s\S]*?)<\/details>\s*/g;
const END = "</details>";

const ENTITIES: Record<string, string> = { "&gt;": ">", "&lt;": "<", "&amp;": "&", "&quot;": '"', "&#x27;": "'" };

function splitReasoning(content: string): { text: string; reasoning: string } {
  if (!content.includes(END)) return { text: content, reasoning: "" };
  const found: string[] = [];
  // Without an end, each beginning would be searched to the end of the text.
  const closed = content.lastIndexOf(END) + END.length;
  const text = content.slice(0, closed).replace(REASONING, (_, quoted: string) => {
    const lines = quoted.trim().replace(/&(?:gt|lt|amp|quot|#x27);/g, (entity) => ENTITIES[entity]!);
    found.push(lines.replace(/^> ?/gm, "").trim());
    return "";
  });
  return { text: (text + content.slice(closed)).trim(), reasoning: found.filter(Boolean).join("\n\n") };
}
