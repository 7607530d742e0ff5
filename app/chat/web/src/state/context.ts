// The context of the chosen models: how full it is, and which turns no longer fit.
import { computed } from "@preact/signals";
import { type Limit, countOmitted, estimateExchange, estimateMessages, estimateTokens } from "../domain/context";
import { tokensOf } from "../domain/attachments";
import { path } from "../domain/conversation";
import { type Exchange, type Message, historyFor } from "../domain/prompt";
import { draftFiles } from "./attaching";
import { current } from "./chats";
import { AUTO, automatic, models } from "./models";
import { readJson, write } from "./preferences";
import { draft } from "./writing";

const FACTORS = "chat.tokenFactors";
const [LEAST, MOST] = [0.25, 4];

const factors = readJson<Record<string, number>>(FACTORS, {});

function contextOf(model: string): number | null {
  const possible = model === AUTO ? automatic.value : models.value.filter(({ id }) => id === model);
  const sizes = possible.map(({ context }) => context).filter((size) => size !== null);
  return sizes.length > 0 ? Math.min(...sizes) : null;
}

export function limitOf(model: string): Limit | null {
  const context = contextOf(model);
  return context === null ? null : { context, factor: factors[model] ?? 1 };
}

/** Compares the estimate with the tokens that the model's server counted. */
export function learnTokens(model: string, messages: Message[], counted: number): void {
  // The tokens of images depend on the model's projector, not on its vocabulary.
  if (messages.some(({ content }) => typeof content !== "string")) return;
  const estimate = estimateMessages(messages);
  if (estimate === 0 || counted === 0) return;
  factors[model] = Math.min(MOST, Math.max(LEAST, counted / estimate));
  write(FACTORS, JSON.stringify(factors));
}

interface Usage {
  /** Tokens of the context that the next message finds in use, without the message itself. */
  used: number;
  context: number;
  factor: number;
  omitted: number;
}

function usageOf(model: string): Usage | null {
  const limit = limitOf(model);
  if (!limit) return null;
  const { sampling, sendAll } = current.value;
  const { exchanges: before, system, replaced } = historyFor(current.value, null, model);
  const next: Exchange = { turnId: "", messages: [{ role: "user", content: "" }], attached: 0 };
  const exchanges = [...before, next];
  const omitted = sendAll ? 0 : countOmitted(exchanges, system, limit, sampling.maxTokens);
  const sent = exchanges.slice(omitted).reduce((sum, exchange) => sum + estimateExchange(exchange), 0);
  const used = Math.round(limit.factor * (sent + estimateTokens(system)));
  return { ...limit, used, omitted: replaced + omitted };
}

/** Of the chosen model whose context is the fullest. */
const fullest = computed(() =>
  current.value.models
    .map(usageOf)
    .filter((usage) => usage !== null)
    .reduce<Usage | null>(
      (worst, usage) => (worst && worst.used / worst.context >= usage.used / usage.context ? worst : usage),
      null,
    ),
);

/** How many of the displayed turns the next message leaves out. */
export const omittedTurns = computed(() => Math.min(fullest.value?.omitted ?? 0, path(current.value).length));

/** The use of the context with the draft; null when the context is unknown or nothing is in it. */
export const contextUse = computed(() => {
  const usage = fullest.value;
  const attached = tokensOf(draftFiles.value);
  if (!usage || (current.value.turns.length === 0 && attached === 0)) return null;
  const message = Math.round(usage.factor * (estimateTokens(draft.value) + attached));
  return {
    used: usage.used + message,
    context: usage.context,
    /** Tokens of the message alone, without which nothing can be sent. */
    needed: message + Math.round(usage.factor * estimateTokens(current.value.system)),
  };
});
