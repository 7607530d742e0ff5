// The gateway's status of its models.
import * as v from "valibot";
import { authorization, leadsToSignIn } from "./chat";

const placeholder = v.object({ model: v.string(), reason: v.string() });

/** What the model can do; null where its server does not report it. */
const ability = v.optional(v.nullable(v.boolean()), null);
const capabilities = v.object({ vision: ability, thinking: ability });

const model = v.object({
  id: v.string(),
  description: v.optional(v.string(), ""),
  state: v.picklist(["ready", "asleep", "loading", "down"]),
  reason: v.optional(v.nullable(v.string()), null),
  /** Whether it accepts messages, of which the first ones may wait until it is loaded. */
  available: v.optional(v.boolean(), false),
  slots: v.optional(v.number(), 1),
  busy: v.optional(v.number(), 0),
  queue: v.optional(v.number(), 0),
  context: v.optional(v.nullable(v.number()), null),
  external: v.optional(v.boolean(), false),
  capabilities: v.optional(capabilities, {}),
  tasks: v.optional(v.array(v.string()), ["chat"]),
  placeholder: v.optional(v.nullable(placeholder), null),
});

/** Where the page with the state of all services is: its public URL, and its port on the stack's machine. */
const statusPage = v.object({ url: v.nullable(v.string()), port: v.nullable(v.number()) });

const status = v.object({
  name: v.optional(v.string(), ""),
  models: v.array(model),
  status_page: v.optional(v.nullable(statusPage), null),
});

const list = v.object({
  data: v.array(v.object({ id: v.string(), placeholder: v.optional(v.nullable(placeholder), null) })),
});

export type ModelStatus = v.InferOutput<typeof model>;
export type Status = v.InferOutput<typeof status>;

/** The gateway requires an API key or rejected the given one. */
export class KeyRequired extends Error {}

/** The session of a sign-in in front of the gateway has ended. */
export class SignedOut extends Error {}

/** Throws KeyRequired, SignedOut, or an Error whose message is shown to the user. */
export async function fetchStatus(key: string, signal: AbortSignal): Promise<Status> {
  const response = await get("/status", key, signal);
  if (response.status === 404) return modelsOnly(key, signal);
  return v.parse(status, await response.json());
}

/** Other OpenAI-compatible servers have only the list: treat every model in it as ready. */
async function modelsOnly(key: string, signal: AbortSignal): Promise<Status> {
  const response = await get("/v1/models", key, signal);
  const { data } = v.parse(list, await response.json());
  const models = data.map((entry) => v.parse(model, { ...entry, state: "ready" }));
  return { name: "", models, status_page: null };
}

async function get(path: string, key: string, signal: AbortSignal): Promise<Response> {
  const response = await fetch(path, { headers: authorization(key), redirect: "manual", signal });
  if (leadsToSignIn(response)) throw new SignedOut();
  if (response.status === 401 || response.status === 403) throw new KeyRequired();
  if (!response.ok && response.status !== 404) {
    throw new Error(`the gateway answered ${path} with HTTP ${response.status}`);
  }
  return response;
}
