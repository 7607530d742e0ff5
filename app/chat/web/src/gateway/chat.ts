// One streamed chat completion: the request, its events and its errors.
import type { Failure, FailureKind } from "../domain/conversation";
import type { ChatRequest } from "../domain/prompt";
import { serverEvents } from "./events";

export type ChatEvent =
  | { kind: "waiting"; position: number | null; loading: boolean }
  | { kind: "delta"; text: string; reasoning: string; model: string | null }
  | { kind: "finish"; reason: string }
  | { kind: "usage"; tokens: number; promptTokens: number | null; tokensPerSecond: number | null };

export class ChatError extends Error {
  constructor(
    readonly failure: Failure,
    /** The tokens of the messages, when they did not fit in the context. */
    readonly promptTokens: number | null = null,
  ) {
    super(failure.message);
  }
}

/** The gateway sends a comment at least every 15 s: after four missed ones, the connection is lost. */
const SILENCE_MS = 60_000;

interface Chunk {
  model?: string;
  choices?: {
    delta?: { content?: string | null; reasoning_content?: string | null };
    finish_reason?: string | null;
  }[];
  usage?: { completion_tokens?: number; prompt_tokens?: number } | null;
  /** Measured by llama-server, so that buffering on the way does not change it. */
  timings?: { predicted_per_second?: number };
  error?: { message?: string; type?: string; code?: string | number };
}

/**
 * Whether the response leads to a sign-in page, as that of an ended Cloudflare Access session does. The
 * browser would follow to another host and report a network error: use it with `redirect: "manual"`.
 */
export const leadsToSignIn = (response: Response): boolean => response.type === "opaqueredirect";

/** The Authorization header; empty without a key. */
export const authorization = (key: string): Record<string, string> => (key ? { Authorization: `Bearer ${key}` } : {});

/** Nobody waits for it as for an answer: it is served after all questions. */
const LOW = { "X-Priority": "low" };

/**
 * Streams an answer. Returns normally only when the server reported that the answer is complete; throws
 * ChatError for every failure, and the signal's AbortError when the user stopped it.
 */
export async function* streamChat(
  request: ChatRequest,
  { key, signal, background = false }: { key: string; signal: AbortSignal; background?: boolean },
): AsyncGenerator<ChatEvent> {
  const response = await post(request, background ? { ...LOW, ...authorization(key) } : authorization(key), signal);
  let complete = false;
  try {
    for await (const event of serverEvents(response.body!, SILENCE_MS)) {
      if (event.type === "comment") {
        yield { kind: "waiting", position: placeIn(event.text), loading: event.text.startsWith("loading ") };
      } else if (event.data === "[DONE]") {
        complete = true;
      } else {
        for (const item of chunkEvents(event.data)) {
          complete ||= item.kind === "finish";
          yield item;
        }
      }
    }
  } catch (error) {
    if (signal.aborted || error instanceof ChatError) throw error;
    throw lost();
  }
  if (!complete) throw lost();
}

/** The queue position in a comment of the gateway (`queue {"position":2,"length":5}`); else null. */
function placeIn(comment: string): number | null {
  const place = /^queue .*"position":\s*(\d+)/.exec(comment);
  return place ? Number(place[1]) : null;
}

async function post(request: ChatRequest, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(request),
      redirect: "manual",
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw failed("unavailable", "Can't connect. Check your connection.");
  }
  if (leadsToSignIn(response)) throw failed("signed-out", "You are signed out.");
  if (!response.ok) throw await refusal(response, request.model);
  return response;
}

function* chunkEvents(data: string): Generator<ChatEvent> {
  let chunk: Chunk;
  try {
    chunk = JSON.parse(data) as Chunk;
  } catch {
    throw failed("lost", "The answer could not be read.");
  }
  if (chunk.error) {
    throw failed("lost", chunk.error.message ?? "The model failed during the answer.");
  }
  const choice = chunk.choices?.[0];
  const text = choice?.delta?.content ?? "";
  const reasoning = choice?.delta?.reasoning_content ?? "";
  if (text || reasoning) yield { kind: "delta", text, reasoning, model: chunk.model ?? null };
  if (choice?.finish_reason) yield { kind: "finish", reason: choice.finish_reason };
  const tokens = chunk.usage?.completion_tokens;
  if (typeof tokens === "number") {
    const promptTokens = chunk.usage?.prompt_tokens ?? null;
    yield { kind: "usage", tokens, promptTokens, tokensPerSecond: chunk.timings?.predicted_per_second ?? null };
  }
}

const failed = (kind: FailureKind, message: string, retryAfter: number | null = null): ChatError =>
  new ChatError({ kind, message, retryAfter });

const lost = (): ChatError => failed("lost", "The connection was lost before the answer was complete.");

const KINDS: Record<number, FailureKind> = { 401: "unauthorized", 403: "unauthorized", 429: "busy" };

interface ErrorBody {
  error?: { message?: string; type?: string; code?: string | number; n_prompt_tokens?: number };
}

/** OpenAI's code, and llama-server's. */
const FULL = ["context_length_exceeded", "exceed_context_size_error"];

/** The failure for an HTTP error; its message is the server's when there is one. */
async function refusal(response: Response, model: string): Promise<ChatError> {
  const kind = KINDS[response.status] ?? (response.status >= 500 ? "unavailable" : "rejected");
  const body = (await response.json().catch(() => null)) as ErrorBody | null;
  if (FULL.includes(String(body?.error?.code)) || FULL.includes(body?.error?.type ?? "")) {
    const message = `This chat is too long for ${model}.`;
    return new ChatError({ kind: "full", message, retryAfter: null }, body?.error?.n_prompt_tokens ?? null);
  }
  const seconds = Number(response.headers.get("Retry-After"));
  if (kind === "busy" && body?.error?.code === "queue_full") {
    const wait = Number.isFinite(seconds) && seconds > 0 ? seconds : null;
    return failed(kind, "This model is busy.", wait);
  }
  const message = body?.error?.message ?? `Something went wrong on the server (${response.status}).`;
  return failed(kind, message, Number.isFinite(seconds) && seconds > 0 ? seconds : null);
}
