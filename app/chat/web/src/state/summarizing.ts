// Lets a model summarize the messages that are left out of a full context.
import { signal } from "@preact/signals";
import { type Conversation, configure, path } from "../domain/conversation";
import { exchangesFor, withAttachments } from "../domain/prompt";
import { SUMMARY_TOKENS, type Summary, partsOf, summarizedTurns, summaryPrompt } from "../domain/summary";
import { splitThinking } from "../domain/thinking";
import { ChatError, streamChat } from "../gateway/chat";
import { change, current } from "./chats";
import { contentsOf } from "./contents";
import { limitOf } from "./context";
import { announce, notify } from "./notices";
import { apiKey } from "./preferences";

/** The part of the context for the messages that are summarized at once. */
const PART = 1 / 2;
/** Without a known context. */
const PART_TOKENS = 2000;
const MAX_PARTS = 30;

interface Progress {
  /** The conversation. */
  id: string;
  part: number;
  parts: number;
  controller: AbortController;
}

export const summarizing = signal<Progress | null>(null);

/** Summarizes the first `count` displayed turns; an existing summary replaces the turns that it covers. */
export async function summarize(count: number): Promise<void> {
  const conversation = current.peek();
  const last = path(conversation)[count - 1];
  const model = conversation.models[0];
  if (!last || !model || summarizing.peek()) return;
  const controller = new AbortController();
  try {
    const text = await written(conversation, count, model, controller);
    if (text) setSummary(conversation.id, { upTo: last.id, text });
    else notify(`${model} returned no summary.`, { tone: "error" });
    announce("The summary is complete.");
  } catch (error) {
    if (!controller.signal.aborted) {
      const reason = error instanceof ChatError ? error.message : "The summary could not be read.";
      notify(`No summary: ${reason}`, { tone: "error" });
    }
  } finally {
    summarizing.value = null;
  }
}

export const stopSummarizing = (): void => summarizing.peek()?.controller.abort();

export const setSummary = (id: string, summary: Summary | undefined): void =>
  change(id, (now) => configure(now, { summary }));

async function written(
  conversation: Conversation,
  count: number,
  model: string,
  controller: AbortController,
): Promise<string> {
  const replaced = summarizedTurns(conversation);
  const limit = limitOf(model);
  const tokens = limit ? (limit.context * PART) / limit.factor - SUMMARY_TOKENS : PART_TOKENS;
  const turns = path(conversation).slice(replaced, count);
  const exchanges = exchangesFor(conversation, null, model).slice(replaced, count);
  const scope = { contents: await contentsOf(turns), vision: false };
  const parts = partsOf(withAttachments(conversation, exchanges, scope), Math.max(200, tokens)).slice(-MAX_PARTS);
  let text = replaced > 0 ? (conversation.summary?.text ?? "") : "";
  for (const [at, part] of parts.entries()) {
    summarizing.value = { id: conversation.id, part: at + 1, parts: parts.length, controller };
    text = await answerTo(summaryPrompt(text, part), model, controller.signal);
  }
  return text;
}

async function answerTo(content: string, model: string, signal: AbortSignal): Promise<string> {
  let text = "";
  const request = {
    model,
    messages: [{ role: "user" as const, content }],
    stream: true as const,
    stream_options: { include_usage: true as const },
    temperature: 0.3,
    max_tokens: SUMMARY_TOKENS,
    // Thoughts would use up the tokens.
    chat_template_kwargs: { enable_thinking: false },
  };
  for await (const event of streamChat(request, { key: apiKey.peek(), signal, background: true })) {
    if (event.kind === "delta") text += event.text;
  }
  return splitThinking(text).answer.trim();
}
