// Zip archives: the chats in the one that OpenAI sends, and the one that this page writes.
import { strToU8, Unzip, UnzipInflate, zipSync } from "fflate";

/** Larger than any export of one person. */
const MAX_UNZIPPED = 400_000_000;

const CHATS = /(^|\/)(conversations|chats?)[^/]*\.json$/i;

export class ZipError extends Error {}

/** The texts of the JSON files with chats. */
export async function readChats(file: Blob, limit = MAX_UNZIPPED): Promise<string[]> {
  const found: string[] = [];
  let size = 0;
  let problem: Error | null = null;
  const unzip = new Unzip((entry) => {
    if (!CHATS.test(entry.name) || problem) return;
    const decoder = new TextDecoder();
    let text = "";
    entry.ondata = (error, data, final) => {
      size += data?.length ?? 0;
      if (error) problem = new ZipError("This zip file is damaged.");
      else if (size > limit) problem = new ZipError("This zip file is too large.");
      if (problem) return entry.terminate();
      text += decoder.decode(data, { stream: !final });
      if (final) found.push(text);
    };
    entry.start();
  });
  unzip.register(UnzipInflate);
  const reader = file.stream().getReader();
  try {
    for (let chunk = await reader.read(); !problem; chunk = await reader.read()) {
      unzip.push(chunk.value ?? new Uint8Array(), chunk.done);
      if (chunk.done) break;
    }
  } catch {
    throw new ZipError("This zip file is damaged.");
  } finally {
    await reader.cancel();
  }
  if (problem) throw problem;
  if (found.length === 0) throw new ZipError("This zip file has no chats: no conversations.json is in it.");
  return found;
}

export const writeZip = (files: ReadonlyMap<string, string>): Uint8Array<ArrayBuffer> =>
  zipSync(Object.fromEntries([...files].map(([name, text]) => [name, strToU8(text)]))) as Uint8Array<ArrayBuffer>;
