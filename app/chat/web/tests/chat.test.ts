// A streamed completion: its events, and each way in which it fails.
import { afterEach, expect, test, vi } from "vitest";
import type { ChatRequest } from "../src/domain/prompt";
import { ChatError, type ChatEvent, streamChat } from "../src/gateway/chat";

const REQUEST = { model: "m", messages: [], stream: true, stream_options: { include_usage: true } } as ChatRequest;
const delta = (content: string): string =>
  `data: ${JSON.stringify({ model: "m", choices: [{ delta: { content } }] })}\n\n`;
const FINISH = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n';

afterEach(() => vi.unstubAllGlobals());

async function collect(response: Response | Error, key = ""): Promise<ChatEvent[]> {
  const call = vi.fn(() => (response instanceof Error ? Promise.reject(response) : Promise.resolve(response)));
  vi.stubGlobal("fetch", call);
  const events: ChatEvent[] = [];
  for await (const event of streamChat(REQUEST, { key, signal: new AbortController().signal })) events.push(event);
  return events;
}

async function failureOf(response: Response | Error): Promise<ChatError["failure"]> {
  const error: unknown = await collect(response).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ChatError);
  return (error as ChatError).failure;
}

test("queue position, loading, text, finish reason and usage", async () => {
  const body = `: queue {"position": 3, "length": 5}\n\n: loading {"model": "m"}\n\n: keep-alive\n\n${delta("Hi")}${FINISH}data: {"choices":[],"usage":{"completion_tokens":9,"prompt_tokens":7},"timings":{"predicted_per_second":41.5}}\n\ndata: [DONE]\n\n`;
  expect(await collect(new Response(body))).toEqual([
    { kind: "waiting", position: 3, loading: false },
    { kind: "waiting", position: null, loading: true },
    { kind: "waiting", position: null, loading: false },
    { kind: "delta", text: "Hi", reasoning: "", model: "m" },
    { kind: "finish", reason: "stop" },
    { kind: "usage", tokens: 9, promptTokens: 7, tokensPerSecond: 41.5 },
  ]);
});

test("a stream that ends without a finish reason is lost", async () => {
  expect(await failureOf(new Response(delta("Hi")))).toMatchObject({ kind: "lost" });
});

test("a stream without data for a minute is lost, and its request is cancelled", async () => {
  vi.useFakeTimers();
  const cancelled = vi.fn();
  const start = (controller: ReadableStreamDefaultController): void =>
    controller.enqueue(new TextEncoder().encode(delta("Hi")));
  const failure = failureOf(new Response(new ReadableStream({ start, cancel: cancelled })));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await failure).toMatchObject({ kind: "lost" });
  expect(cancelled).toHaveBeenCalled();
  vi.useRealTimers();
});

test("an error during the stream has the server's message", async () => {
  const body = `${delta("Hi")}data: {"error":{"message":"the replica went away","code":"upstream_lost"}}\n\n`;
  expect(await failureOf(new Response(body))).toMatchObject({ kind: "lost", message: "the replica went away" });
});

test.each([
  [401, "unauthorized"],
  [403, "unauthorized"],
  [429, "busy"],
  [503, "unavailable"],
  [400, "rejected"],
])("status %i means %s", async (status, kind) => {
  const response = Response.json({ error: { message: "why" } }, { status, headers: { "Retry-After": "7" } });
  expect(await failureOf(response)).toEqual({ kind, message: "why", retryAfter: 7 });
});

test("an error without a JSON body has a message", async () => {
  const { message } = await failureOf(new Response("<html>", { status: 502 }));
  expect(message).toContain("502");
});

test("an unreachable gateway is reported as unavailable", async () => {
  expect(await failureOf(new TypeError("Failed to fetch"))).toMatchObject({ kind: "unavailable" });
});

test("the key is sent in the Authorization header; without a key there is no header", async () => {
  await collect(new Response(`${FINISH}`), "sk-1");
  const [, withKey] = vi.mocked(fetch).mock.calls[0]!;
  expect(withKey?.headers).toMatchObject({ Authorization: "Bearer sk-1" });
  await collect(new Response(`${FINISH}`));
  const [, without] = vi.mocked(fetch).mock.calls[0]!;
  expect(without?.headers).not.toHaveProperty("Authorization");
});
