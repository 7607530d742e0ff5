// What an imported file contains: chats of this page or of another program, and what is left out.
import type { Contents } from "./attachments";
import type { Conversation } from "./conversation";
import { Skipped, convert } from "./foreign/convert";
import { recognise } from "./foreign/formats";
import type { Prompt } from "./prompts";
import { FORMAT, ImportError, importFile } from "./transfer";

export interface Imported {
  /** The program that wrote the file; null for this page. */
  program: string | null;
  conversations: Conversation[];
  contents: Contents;
  prompts: Prompt[];
  skipped: Skips;
}

/** How many chats were left out, and how many files of messages, which no export contains. */
export interface Skips {
  empty: number;
  "too long": number;
  damaged: number;
  files: number;
}

/** Reads the JSON documents of a file. Throws an ImportError whose message is shown to the user. */
export function readImport(sources: string[], models: string[]): Imported {
  const documents = sources.map(parse);
  const [first] = documents;
  if (documents.length === 1 && (first as { format?: unknown } | null)?.format === FORMAT) {
    return { program: null, skipped: noSkips(), ...importFile(first) };
  }
  const found = documents.map(recognise).filter((one) => one !== null);
  if (found.length === 0) throw new ImportError("This file isn't a chat export.");
  const { format } = found[0]!;
  const skipped = noSkips();
  const conversations: Conversation[] = [];
  for (const chat of found.flatMap(({ chats }) => chats)) {
    try {
      if (!format.matches(chat)) throw new Error("another form");
      const read = format.read(chat);
      conversations.push(convert(read, format.program, models));
      skipped.files += read.messages.reduce((sum, { files }) => sum + files, 0);
    } catch (error) {
      skipped[error instanceof Skipped ? error.reason : "damaged"] += 1;
    }
  }
  return { program: format.program, conversations, contents: new Map(), prompts: [], skipped };
}

const noSkips = (): Skips => ({ empty: 0, "too long": 0, damaged: 0, files: 0 });

function parse(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    throw new ImportError("This file isn't a chat export: it is not a JSON file.");
  }
}

/** The questions and answers that have a text. */
export const messagesIn = (conversations: Conversation[]): number =>
  conversations
    .flatMap(({ turns }) => turns)
    .reduce((sum, { text, lanes }) => {
      const answers = lanes.flatMap((lane) => lane.answers).filter((answer) => answer.text !== "");
      return sum + (text === "" ? 0 : 1) + answers.length;
    }, 0);
