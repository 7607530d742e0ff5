// The files of the draft: reading, limits, and what a reload keeps.
import { computed, signal } from "@preact/signals";
import * as v from "valibot";
import {
  type Attachment,
  MAX_FILES,
  MAX_FILE_BYTES,
  MAX_TEXT,
  attachmentSchema,
  cleanName,
  imageTokens,
  sizeText,
} from "../domain/attachments";
import { estimateTokens } from "../domain/context";
import { attachmentsIn, newId } from "../domain/conversation";
import { canvasIsReadable } from "../reading/canvas";
import { readImage } from "../reading/image";
import { kindOf } from "../reading/kinds";
import { readText } from "../reading/text";
import { Unreadable } from "../reading/unreadable";
import { everything } from "./chats";
import { deleteUnused, loadContent, storeContents } from "./contents";
import { announce, notify } from "./notices";
import { read, write } from "./preferences";
import { draftKey } from "./writing";

const STORED = "chat.draftFiles.";

const lists = signal<ReadonlyMap<string, Attachment[]>>(new Map());
/** Names of the files that are being read, by draft. */
const reading = signal<ReadonlyMap<string, string[]>>(new Map());

function stored(key: string): Attachment[] {
  try {
    return v.parse(v.array(attachmentSchema), JSON.parse(read(STORED + key) ?? "[]"));
  } catch {
    return [];
  }
}

const filesOf = (key: string): Attachment[] => lists.value.get(key) ?? stored(key);

/** The files of the displayed draft. */
export const draftFiles = computed(() => filesOf(draftKey.value));
export const filesInReading = computed(() => reading.value.get(draftKey.value) ?? []);

function setFiles(key: string, files: Attachment[]): void {
  lists.value = new Map(lists.peek()).set(key, files);
  write(STORED + key, files.length > 0 ? JSON.stringify(files) : null);
}

export const clearDraftFiles = (): void => setFiles(draftKey.peek(), []);

export function detach({ id, name }: Attachment): void {
  setFiles(
    draftKey.peek(),
    draftFiles.peek().filter((file) => file.id !== id),
  );
  announce(`${name} removed.`);
}

/** Reads the files and adds them to the draft. One notice names all that could not be added. */
export async function attach(files: File[]): Promise<void> {
  const key = draftKey.peek();
  const room = Math.max(0, MAX_FILES - filesOf(key).length - (reading.peek().get(key)?.length ?? 0));
  const problems = files.length > room ? [`A message can have ${MAX_FILES} files; you chose ${files.length}.`] : [];
  const chosen = files.slice(0, room);
  const names = chosen.map(({ name }) => cleanName(name));
  setReading(key, (all) => [...all, ...names]);
  for (const [at, file] of chosen.entries()) {
    const name = names[at]!;
    try {
      const { content, ...facts } = await readFile(file);
      if (facts.kind === "text") await checkRoom(key, content);
      const attachment: Attachment = { id: newId(), name, size: file.size, ...facts };
      await storeContents(new Map([[attachment.id, content]]));
      setFiles(key, [...filesOf(key), attachment]);
      announce(`${name} attached.`);
    } catch (error) {
      if (!(error instanceof Unreadable)) console.error(error);
      problems.push(`${name} ${error instanceof Unreadable ? error.message : "could not be read"}.`);
    }
    setReading(key, (all) => all.toSpliced(all.indexOf(name), 1));
  }
  if (problems.length > 0) notify(problems.join("\n"), { tone: "error" });
}

function setReading(key: string, change: (names: string[]) => string[]): void {
  reading.value = new Map(reading.peek()).set(key, change(reading.peek().get(key) ?? []));
}

async function checkRoom(key: string, content: string): Promise<void> {
  const texts = filesOf(key).filter(({ kind }) => kind === "text");
  const lengths = await Promise.all(texts.map(async ({ id }) => (await loadContent(id))?.length ?? 0));
  const total = lengths.reduce((sum, length) => sum + length, content.length);
  if (total <= MAX_TEXT) return;
  const what = texts.length > 0 ? "and the other files have together" : "has";
  throw new Unreadable(`${what} ${sizeText(total)} of text; the limit is ${sizeText(MAX_TEXT)}`);
}

type ReadFile = Pick<Attachment, "kind" | "tokens" | "pages"> & { content: string };

async function readFile(file: File): Promise<ReadFile> {
  if (file.size > MAX_FILE_BYTES) {
    throw new Unreadable(`has ${sizeText(file.size)}; the limit is ${sizeText(MAX_FILE_BYTES)}`);
  }
  const bytes = await bytesOf(file);
  const kind = kindOf(bytes);
  if (kind === "archive") throw new Unreadable("is an archive or an Office document; attach a PDF or text instead");
  if (kind === "image" || kind === "heic") return readPicture(file, kind === "heic");
  if (kind === "pdf") {
    const { readPdf } = await import("../reading/pdf");
    const { text, pages } = await readPdf(bytes);
    return { kind: "text", content: text, tokens: estimateTokens(text), pages };
  }
  const content = readText(bytes);
  return { kind: "text", content, tokens: estimateTokens(content) };
}

async function bytesOf(file: File): Promise<Uint8Array> {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Unreadable("is a folder, or cannot be read");
  }
}

async function readPicture(file: File, heic: boolean): Promise<ReadFile> {
  try {
    const { url, width, height } = await readImage(file);
    return { kind: "image", content: url, tokens: imageTokens(width, height) };
  } catch (error) {
    // Safari opens HEIC images.
    if (heic && canvasIsReadable())
      throw new Unreadable("is a HEIC image, which this browser cannot open; convert it to JPEG");
    throw error;
  }
}

const CLEAN_AFTER_MS = 20_000;

/** Later, because it reads all chats. */
export function deleteUnusedFiles(): void {
  setTimeout(() => {
    void deleteUnused(async () => {
      const chats = (await everything()).flatMap(attachmentsIn);
      return new Set([...chats, ...allDraftFiles()].map(({ id }) => id));
    }).catch((error: unknown) => console.error(error));
  }, CLEAN_AFTER_MS);
}

function allDraftFiles(): Attachment[] {
  const keys = Array.from({ length: localStorage.length }, (_, at) => localStorage.key(at) ?? "");
  return keys.filter((key) => key.startsWith(STORED)).flatMap((key) => stored(key.slice(STORED.length)));
}
