// ChatGPT's conversations.json: for each chat, a mapping of nodes with parents.
import type { ForeignFormat, ForeignMessage } from "./chat";
import { fieldsOf, isObject, listOf, nameOf, textOf, timeOf } from "./values";

/** Marks of citations, which refer to search results that are not in the export. */
const CITATIONS = /\ue200[^\ue201]{0,500}\ue201/g;

const ROLES: Record<string, ForeignMessage["role"]> = { user: "user", assistant: "assistant", system: "system" };

/** Instructions and memory, which ChatGPT adds to a chat without showing them. */
const HIDDEN = ["user_editable_context", "model_editable_context", "reasoning_recap"];

export const chatgpt: ForeignFormat = {
  program: "ChatGPT",
  matches: (value) => isObject(value) && isObject(value["mapping"]),
  read(value) {
    const chat = fieldsOf(value);
    return {
      id: textOf(chat["conversation_id"]) || textOf(chat["id"]),
      title: textOf(chat["title"]),
      createdAt: timeOf(chat["create_time"]),
      updatedAt: timeOf(chat["update_time"]),
      pinned: chat["is_starred"] === true,
      system: "",
      current: nameOf(chat["current_node"]),
      messages: Object.entries(fieldsOf(chat["mapping"])).map(([id, node]) => messageOf(id, fieldsOf(node))),
    };
  },
};

function messageOf(id: string, node: Record<string, unknown>): ForeignMessage {
  const message = fieldsOf(node["message"]);
  const content = fieldsOf(message["content"]);
  const metadata = fieldsOf(message["metadata"]);
  const hidden =
    metadata["is_visually_hidden_from_conversation"] === true ||
    HIDDEN.includes(textOf(content["content_type"])) ||
    // A call of a tool.
    !["", "all"].includes(textOf(message["recipient"]));
  const role = ROLES[textOf(fieldsOf(message["author"])["role"])] ?? "none";
  return {
    id,
    parent: nameOf(node["parent"]),
    role: hidden ? "none" : role,
    model: nameOf(metadata["model_slug"]),
    time: timeOf(message["create_time"]),
    ...(hidden ? { text: "", reasoning: "", files: 0 } : read(content)),
  };
}

function read(content: Record<string, unknown>): Pick<ForeignMessage, "text" | "reasoning" | "files"> {
  const type = content["content_type"];
  if (type === "thoughts") {
    const thoughts = listOf(content["thoughts"]).map((thought) => textOf(fieldsOf(thought)["content"]));
    return { text: "", reasoning: thoughts.filter(Boolean).join("\n\n"), files: 0 };
  }
  if (type === "code") {
    const language = textOf(content["language"]).replace(/[^\w+#-]|^unknown$/g, "");
    return { text: `\`\`\`${language}\n${textOf(content["text"])}\n\`\`\``, reasoning: "", files: 0 };
  }
  const parts = listOf(content["parts"]);
  // A recording has its text.
  const texts = parts.map((part) => (typeof part === "string" ? part : textOf(fieldsOf(part)["text"])));
  return {
    text: (texts.filter(Boolean).join("\n\n") || textOf(content["text"])).replace(CITATIONS, ""),
    reasoning: "",
    files: texts.filter((text, index) => text === "" && typeof parts[index] !== "string").length,
  };
}
