// Reads the text of PDF files with pdf.js, in a worker: it is loaded with the first PDF.
import type { PDFDocumentProxy } from "pdfjs-dist";
import * as pdfjs from "pdfjs-dist/legacy/build/pdf.mjs";
import workerUrl from "pdfjs-dist/legacy/build/pdf.worker.min.mjs?url";
import { MAX_TEXT, sizeText } from "../domain/attachments";
import { trustedUrl } from "../trusted-url";
import { Unreadable } from "./unreadable";

const MAX_PAGES = 500;
/** A small file can contain pages that take hours. */
const TIME_LIMIT_MS = 30_000;

const trustedWorkerUrl = trustedUrl("pdf-worker", workerUrl);

export interface ReadPdf {
  text: string;
  pages: number;
}

export async function readPdf(bytes: Uint8Array): Promise<ReadPdf> {
  const worker = new Worker(trustedWorkerUrl, { type: "module" });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Unreadable(`took longer than ${TIME_LIMIT_MS / 1000} s to read`);
    timer = setTimeout(() => reject(error), TIME_LIMIT_MS);
  });
  try {
    return await Promise.race([extract(bytes, worker), late]);
  } finally {
    clearTimeout(timer);
    worker.terminate();
  }
}

async function extract(bytes: Uint8Array, worker: Worker): Promise<ReadPdf> {
  const own = pdfjs.PDFWorker.create({ port: worker });
  const task = pdfjs.getDocument({
    data: bytes,
    worker: own,
    // Only the text is needed: no fonts, no compiled code.
    disableFontFace: true,
    useSystemFonts: true,
    useWasm: false,
    isOffscreenCanvasSupported: false,
    isImageDecoderSupported: false,
    cMapUrl: new URL("/pdf-cmaps/", location.origin).href,
    useWorkerFetch: true,
    verbosity: 0,
  });
  let document: PDFDocumentProxy;
  try {
    document = await task.promise;
  } catch (error) {
    const { name } = error as Error;
    throw new Unreadable(name === "PasswordException" ? "needs a password" : "is damaged, or not a PDF");
  }
  if (document.numPages > MAX_PAGES) {
    throw new Unreadable(`has ${document.numPages.toLocaleString("en")} pages; the limit is ${MAX_PAGES}`);
  }
  const text = await textOf(document);
  if (text.trim() === "") throw new Unreadable("contains no text; it may be a scan");
  return { text, pages: document.numPages };
}

async function textOf(document: PDFDocumentProxy): Promise<string> {
  const pages: string[] = [];
  let length = 0;
  for (let number = 1; number <= document.numPages; number += 1) {
    const page = await document.getPage(number).catch(() => null);
    const content = await page?.getTextContent().catch(() => null);
    const text = (content?.items ?? [])
      .map((item) => ("str" in item ? item.str + (item.hasEOL ? "\n" : "") : ""))
      .join("");
    page?.cleanup();
    length += text.length;
    if (length > MAX_TEXT) throw new Unreadable(`has more text than ${sizeText(MAX_TEXT)}, which is the limit`);
    pages.push(text.trim());
  }
  return pages.filter(Boolean).join("\n\n").replace(/\0/g, "");
}
