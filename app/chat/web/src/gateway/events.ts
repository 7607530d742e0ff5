// Server-sent events from a byte stream (WHATWG HTML, "Event stream interpretation"), comments included.

export type ServerEvent = { type: "data"; data: string } | { type: "comment"; text: string };

/** Parses lines into events. Comments are kept: the gateway reports in them what a request waits for. */
export class EventParser {
  private buffer = "";
  private data: string[] = [];

  *push(text: string): Generator<ServerEvent> {
    this.buffer += text;
    let from = 0;
    for (;;) {
      const end = this.lineEnd(from);
      if (end === null) break;
      yield* this.line(this.buffer.slice(from, end.at));
      from = end.next;
    }
    this.buffer = this.buffer.slice(from);
  }

  private lineEnd(from: number): { at: number; next: number } | null {
    const newline = this.buffer.indexOf("\n", from);
    const carriage = this.buffer.indexOf("\r", from);
    if (carriage >= 0 && (newline < 0 || carriage < newline)) {
      // A carriage return at the end may be the first half of CR LF.
      if (carriage === this.buffer.length - 1) return null;
      return { at: carriage, next: carriage + (this.buffer[carriage + 1] === "\n" ? 2 : 1) };
    }
    return newline < 0 ? null : { at: newline, next: newline + 1 };
  }

  private *line(line: string): Generator<ServerEvent> {
    if (line === "") {
      if (this.data.length > 0) yield { type: "data", data: this.data.join("\n") };
      this.data = [];
    } else if (line.startsWith(":")) {
      yield { type: "comment", text: line.slice(1).trim() };
    } else if (line.startsWith("data:")) {
      this.data.push(line.slice(line[5] === " " ? 6 : 5));
    }
  }
}

/** Reads and redraws cost more than a token: with 50 tokens per second, one read has three of them. */
const READ_EVERY_MS = 60;

/** In a hidden page nothing is drawn, and the browser lets a timer wait for up to a minute. */
const isSeen = (): boolean => typeof document !== "undefined" && !document.hidden;

/**
 * The events of a response. A healthy server sends at least a comment every few seconds; when nothing
 * arrives for `silenceMs`, this throws.
 */
export async function* serverEvents(body: ReadableStream<Uint8Array>, silenceMs: number): AsyncGenerator<ServerEvent> {
  const parser = new EventParser();
  // Not a TextDecoderStream: its promises take longer than the decoding of a token.
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await within(silenceMs, reader.read());
      if (done) return;
      let complete = false;
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        complete ||= event.type === "data" && event.data === "[DONE]";
        yield event;
      }
      if (isSeen() && !complete) await new Promise((goOn) => setTimeout(goOn, READ_EVERY_MS));
    }
  } finally {
    // Cancel the request, so that the server stops generating.
    reader.cancel().catch(() => undefined);
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing for ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, silence]);
  } finally {
    clearTimeout(timer);
  }
}
