// Export and import of chats: what is written, and what the page reports about what it read.
import { type Imported, type Skips, messagesIn, readImport } from "../domain/imports";
import { fileNameOf, markdownFiles, toMarkdown } from "../domain/markdown-export";
import { ImportError } from "../domain/transfer";
import { type Added, addAll, everything, exportText, stored } from "./chats";
import { importContents } from "./contents";
import { saveFile } from "./files";
import { addPrompts } from "./prompts";
import { bestModel, isServed } from "./models";
import { notify } from "./notices";
import { lastModels } from "./preferences";

/** Larger than any export of one person; the text of a larger file would not fit in a string. */
const MAX_BYTES = 400_000_000;

const ZIP_MAGIC = [0x50, 0x4b];

export async function exportOneAsJson(id: string, title: string): Promise<void> {
  saveFile(`${fileNameOf(title)}.json`, await exportText(id));
}

export async function exportOneAsMarkdown(id: string, title: string): Promise<void> {
  const conversation = await stored(id);
  if (conversation) saveFile(`${fileNameOf(title)}.md`, toMarkdown(conversation), "text/markdown");
}

/** A zip file with one file for each chat. */
export async function exportAllAsMarkdown(): Promise<void> {
  const { writeZip } = await import("../reading/zip");
  saveFile("chats.zip", writeZip(markdownFiles(await everything())), "application/zip");
}

/** Adds the chats of a file. Nothing that is stored is replaced. */
export async function importChats(file: File): Promise<void> {
  try {
    const imported = readImport(await textsIn(file), usableModels());
    await importContents(imported.contents);
    const added = await addAll(imported.conversations);
    const newPrompts = await addPrompts(imported.prompts);
    if (added) notify(reportOf(imported, added) + (newPrompts > 0 ? ` Imported ${count(newPrompts, "prompt")}.` : ""));
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    notify(error.message, { tone: "error" });
  }
}

/** The models that go on with an imported chat: its own ones are not here. */
function usableModels(): string[] {
  const last = lastModels.peek().filter(isServed);
  const best = bestModel.peek();
  return last.length > 0 || !best ? last : [best.id];
}

async function textsIn(file: File): Promise<string[]> {
  if (file.size > MAX_BYTES) throw new ImportError("This file is too large: at most 400 MB can be imported.");
  const start = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  if (!ZIP_MAGIC.every((byte, at) => start[at] === byte)) return [await file.text()];
  const { readChats, ZipError } = await import("../reading/zip");
  try {
    return await readChats(file);
  } catch (error) {
    throw error instanceof ZipError ? new ImportError(error.message) : error;
  }
}

function reportOf({ program, conversations, skipped }: Imported, { fresh, extended, known }: Added): string {
  const from = program ? ` from ${program}` : "";
  const left = [
    ...(known > 0 ? [`${count(known, "chat")} already here`] : []),
    ...(["empty", "too long", "damaged"] as const satisfies (keyof Skips)[])
      .filter((reason) => skipped[reason] > 0)
      .map((reason) => `${count(skipped[reason], "chat")} ${reason}`),
    ...(skipped.files > 0 ? [`${count(skipped.files, "file")} not in the export`] : []),
  ];
  const after = left.length > 0 ? ` Skipped: ${left.join(", ")}.` : "";
  if (fresh.length > 0) {
    const messages = count(messagesIn(fresh), "message");
    const more = extended > 0 ? `, and added messages to ${count(extended, "chat")}` : "";
    return `Imported ${count(fresh.length, "chat")} with ${messages}${from}${more}.${after}`;
  }
  if (extended > 0) return `Added messages to ${count(extended, "chat")}${from}.${after}`;
  return conversations.length === 0 && left.length === 0 ? "No chats in this file." : `Nothing new${from}.${after}`;
}

const count = (number: number, what: string): string =>
  `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
