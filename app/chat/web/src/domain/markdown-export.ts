// Export of a chat as Markdown: the displayed messages, as a person reads them.
import { type Conversation, type Turn, path, shownAnswer } from "./conversation";
import { splitThinking } from "./thinking";

/** Titles and names in a heading must not start another element. */
const inHeading = (text: string): string => text.replace(/\s+/g, " ").replace(/([\\`*_[\]<>#])/g, "\\$1");

export function toMarkdown(conversation: Conversation): string {
  const { title, system, createdAt } = conversation;
  const parts = [
    `# ${inHeading(title)}`,
    `*Started ${new Date(createdAt).toISOString().slice(0, 10)}*`,
    ...(system.trim() ? ["## System prompt", system.trim()] : []),
    ...path(conversation).flatMap(turnParts),
  ];
  return `${parts.join("\n\n")}\n`;
}

function turnParts({ text, attachments = [], lanes }: Turn): string[] {
  const files = attachments.map(({ name }) => `*Attached file: ${inHeading(name)}*`);
  const answers = lanes.flatMap((lane) => {
    const answer = shownAnswer(lane);
    const written = splitThinking(answer.text, answer.reasoning).answer.trim();
    return written ? [`## ${inHeading(lane.model)}`, written] : [];
  });
  return ["## You", ...files, ...(text.trim() ? [text.trim()] : []), ...answers];
}

/** A file name from a title: letters and digits of all languages. */
export const fileNameOf = (title: string): string =>
  title
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .slice(0, 40)
    .replace(/^-|-$/g, "") || "chat";

/** One file for each chat, with different names. */
export function markdownFiles(conversations: Conversation[]): Map<string, string> {
  const files = new Map<string, string>();
  for (const conversation of conversations) {
    const base = fileNameOf(conversation.title);
    let name = base;
    for (let number = 2; files.has(`${name.toLowerCase()}.md`); number += 1) name = `${base}-${number}`;
    files.set(`${name.toLowerCase()}.md`, toMarkdown(conversation));
  }
  return files;
}
