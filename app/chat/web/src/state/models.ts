// The models and their state, polled every few seconds while the page is visible.
import { computed, signal } from "@preact/signals";
import { KeyRequired, SignedOut, type ModelStatus, type Status, fetchStatus } from "../gateway/status";
import { apiKey } from "./preferences";

const PERIOD_MS = 5000;
/** The model name for which the gateway chooses a model. */
export const AUTO = "auto";

export const status = signal<Status | null>(null);
/** Why the gateway's status is not available; null when it is. */
export const statusError = signal<string | null>(null);
/** The gateway requires an API key or rejected the given one. */
export const keyRequired = signal(false);
/** The session of a sign-in in front of the gateway has ended. */
export const signedOut = signal(false);

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/** The address of the page with the state of all services; null if it is not known. */
export const statusPage = computed(() => {
  const { url = null, port = null } = status.value?.status_page ?? {};
  const here = location.hostname;
  return port !== null && LOOPBACK.includes(here) ? `http://${here}:${port}/` : url;
});

/** What the operator calls this chat. */
export const siteName = computed(() => status.value?.name || "Chat");

/** The models that can chat. */
export const models = computed(() => (status.value?.models ?? []).filter(({ tasks }) => tasks.includes("chat")));
/** Whether a model has an ability; null when its server does not report it. */
function can(id: string, ability: keyof ModelStatus["capabilities"]): boolean | null {
  const possible = id === AUTO ? automatic.value : models.value.filter((model) => model.id === id);
  const found = possible.map(({ capabilities }) => capabilities[ability]);
  return found.includes(true) ? true : found.length === 0 || found.includes(null) ? null : false;
}

/** Whether a model can read images. The gateway chooses a model that can read what it is sent. */
export const readsImages = (id: string): boolean | null => can(id, "vision");

/** False for a model that this server does not have, if the models are known. */
export const isServed = (id: string): boolean =>
  id === AUTO || models.value.length === 0 || models.value.some((model) => model.id === id);

export const canThink = (id: string): boolean => can(id, "thinking") === true;

/** Those between which the gateway chooses: it does not send a conversation to another machine by itself. */
export const automatic = computed(() => models.value.filter(({ external }) => !external));

/** The state as a coloured dot. `unknown` until the gateway has answered. */
export type Light = "ready" | "busy" | "asleep" | "loading" | "down" | "unknown";

export interface Condition {
  light: Light;
  /** One short phrase. */
  label: string;
  /** The cause, as the gateway reports it. */
  reason: string | null;
  /** What the user can do about it. */
  advice: string | null;
}

export function conditionOf(model: ModelStatus): Condition {
  const { state, reason, slots, busy, queue, external, available } = model;
  if (state === "down") {
    return {
      light: "down",
      label: "Down",
      reason,
      advice: external
        ? "Use another model, or try again later."
        : "It will restart automatically. Use another model meanwhile.",
    };
  }
  if (state === "loading" && available) {
    return { light: "busy", label: "Loading", reason: null, advice: "Your message will wait until it has loaded." };
  }
  if (state === "loading") {
    return {
      light: "loading",
      label: "Loading",
      reason,
      advice: "Still loading. You can use another model meanwhile.",
    };
  }
  if (state === "asleep") {
    return {
      light: "asleep",
      label: "Asleep",
      reason: null,
      advice: "The first answer takes longer, because the model has to load.",
    };
  }
  if (busy >= slots) {
    const line = queue > 0 ? `: ${queue} in line` : "";
    return { light: "busy", label: `Busy${line}`, reason: null, advice: "Your message will wait in line." };
  }
  return { light: "ready", label: "Ready", reason: null, advice: null };
}

const LIGHTS: Light[] = ["ready", "busy", "asleep", "loading", "down", "unknown"];

/** Lower is better: real models before demo models, those of this server before others, then by state. */
const rank = (model: ModelStatus): number =>
  LIGHTS.indexOf(conditionOf(model).light) +
  (model.state === "down" ? 100 : 0) +
  (model.placeholder ? 10 : 0) +
  (model.external ? 20 : 0);

/** The model of a newcomer's first chat. */
export const bestModel = computed(() =>
  models.value.reduce<ModelStatus | null>((best, model) => (best && rank(best) <= rank(model) ? best : model), null),
);

const UNKNOWN: Condition = { light: "unknown", label: "Unknown", reason: null, advice: null };
const OFFLINE: Condition = { light: "down", label: "Offline", reason: null, advice: null };
const GONE: Condition = {
  light: "down",
  label: "No longer available",
  reason: null,
  advice: "Use another model.",
};

export function conditionNamed(id: string): Condition {
  if (statusError.value) return OFFLINE;
  if (!status.value) return UNKNOWN;
  if (id === AUTO) return autoCondition();
  const model = models.value.find((candidate) => candidate.id === id);
  return model ? conditionOf(model) : GONE;
}

const BEST_FIRST = ["ready", "busy", "asleep", "loading"] as const;
const AUTO_LABELS = {
  ready: "Ready",
  busy: "Busy",
  asleep: "Asleep",
  loading: "Loading",
  down: "No model available",
};

function autoCondition(): Condition {
  const lights = automatic.value.map((model) => conditionOf(model).light);
  const light = BEST_FIRST.find((one) => lights.includes(one)) ?? "down";
  return { light, label: AUTO_LABELS[light], reason: null, advice: light === "down" ? "Try again later." : null };
}

export const placeholderFor = (id: string): ModelStatus["placeholder"] =>
  models.value.find((candidate) => candidate.id === id)?.placeholder ?? null;

let abort: AbortController | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Fetches the status now and then every period. A call replaces an earlier one that is still running. */
export async function refresh(): Promise<void> {
  clearTimeout(timer);
  abort?.abort();
  const own = (abort = new AbortController());
  try {
    status.value = await fetchStatus(apiKey.peek(), AbortSignal.any([own.signal, AbortSignal.timeout(PERIOD_MS)]));
    statusError.value = null;
    keyRequired.value = false;
    signedOut.value = false;
  } catch (error) {
    if (own.signal.aborted) return;
    if (error instanceof KeyRequired) keyRequired.value = true;
    else if (error instanceof SignedOut) signedOut.value = true;
    else statusError.value = "Can't connect. Reconnecting…";
  }
  if (!document.hidden) timer = setTimeout(() => void refresh(), PERIOD_MS);
}

export function watchModels(): void {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else void refresh();
  });
  void refresh();
}
