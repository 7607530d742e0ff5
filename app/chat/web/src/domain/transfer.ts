// Export and import of conversations as a JSON file; every imported value is validated.
import * as v from "valibot";
import { type Contents, IMAGE_URL, MAX_FILES, attachmentSchema } from "./attachments";
import { type Conversation, EFFORTS, MAX_MODELS, type Turn, attachmentsIn, closeInterrupted } from "./conversation";
import { type Prompt, promptSchema } from "./prompts";
import { MAX_STOPS, MAX_STOP_LENGTH, RANGES, type Range } from "./limits";

export const FORMAT = "chat-conversations";
export const VERSION = 1;

const text = v.string();
const time = v.pipe(v.number(), v.finite(), v.minValue(0));
const orNull = <T extends v.GenericSchema>(schema: T) => v.nullable(schema);
const id = v.pipe(v.string(), v.regex(/^[\w-]{1,64}$/, "must be 1 to 64 letters, digits, _ or -"));

const limited = ({ min, max, step }: Range) =>
  step === 1
    ? v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max))
    : v.pipe(v.number(), v.minValue(min), v.maxValue(max));

const sampling = v.object({
  temperature: orNull(limited(RANGES.temperature)),
  topP: orNull(limited(RANGES.topP)),
  maxTokens: orNull(limited(RANGES.maxTokens)),
  seed: orNull(limited(RANGES.seed)),
  topK: v.optional(orNull(limited(RANGES.topK))),
  minP: v.optional(orNull(limited(RANGES.minP))),
  repeatPenalty: v.optional(orNull(limited(RANGES.repeatPenalty))),
  stop: v.optional(v.pipe(v.array(v.pipe(text, v.maxLength(MAX_STOP_LENGTH))), v.maxLength(MAX_STOPS))),
  effort: v.optional(orNull(v.picklist(EFFORTS))),
});

const failure = v.object({
  kind: v.picklist(["unauthorized", "signed-out", "busy", "unavailable", "rejected", "full", "lost"]),
  message: text,
  retryAfter: orNull(v.number()),
});

const figures = v.object({
  firstTokenMs: orNull(v.number()),
  tokens: v.number(),
  tokensPerSecond: orNull(v.number()),
  totalMs: v.number(),
});

const answer = v.object({
  id,
  state: v.picklist(["waiting", "streaming", "done", "stopped", "failed"]),
  text,
  reasoning: text,
  servedBy: orNull(text),
  finish: orNull(text),
  failure: orNull(failure),
  figures: orNull(figures),
  createdAt: time,
  editedAt: v.optional(time),
});

const lane = v.object({
  model: v.pipe(text, v.minLength(1)),
  answers: v.pipe(v.array(answer), v.minLength(1)),
  shown: v.pipe(v.number(), v.integer(), v.minValue(0)),
});

const turn = v.object({
  id,
  parent: orNull(id),
  text,
  attachments: v.optional(v.pipe(v.array(attachmentSchema), v.maxLength(MAX_FILES))),
  createdAt: time,
  lanes: v.pipe(v.array(lane), v.minLength(1), v.maxLength(MAX_MODELS)),
  vote: orNull(text),
  editedAt: v.optional(time),
});

const conversation = v.object({
  id,
  title: text,
  named: v.boolean(),
  createdAt: time,
  updatedAt: time,
  models: v.pipe(v.array(text), v.maxLength(MAX_MODELS)),
  blind: v.boolean(),
  system: text,
  sampling,
  sendAll: v.optional(v.boolean()),
  summary: v.optional(v.object({ upTo: id, text })),
  turns: v.array(turn),
  shown: v.record(v.string(), id),
  pinned: v.optional(v.boolean()),
  titled: v.optional(v.boolean()),
  removed: v.optional(v.record(id, v.union([id, v.literal("")]))),
});

const file = v.object({
  format: v.literal(FORMAT),
  version: v.literal(VERSION),
  exported: text,
  conversations: v.array(conversation),
  /** The contents of the attached files, by id. */
  files: v.optional(v.record(v.string(), text), {}),
  prompts: v.optional(v.array(promptSchema), []),
});

export class ImportError extends Error {}

export function exportFile(
  conversations: Conversation[],
  contents: Contents = new Map(),
  prompts: Prompt[] = [],
  now = new Date(),
): string {
  const more = prompts.length > 0 ? { prompts } : {};
  const files = contents.size > 0 ? { files: Object.fromEntries(contents) } : {};
  const ordered = conversations.map((conversation) => ({ ...conversation, turns: parentsFirst(conversation.turns) }));
  const content = {
    format: FORMAT,
    version: VERSION,
    exported: now.toISOString(),
    conversations: ordered,
    ...files,
    ...more,
  };
  return `${JSON.stringify(content, null, 1)}\n`;
}

/** Checks an exported file, parsed. Throws an ImportError whose message has the path and the problem. */
export function importFile(content: unknown): {
  conversations: Conversation[];
  contents: Contents;
  prompts: Prompt[];
} {
  const { version } = content as { version?: unknown };
  if (version !== VERSION) {
    throw new ImportError(`This file was exported by a newer version (${JSON.stringify(version)}) of this page.`);
  }
  const parsed = v.safeParse(file, content);
  if (!parsed.success) throw new ImportError(describe(parsed.issues[0]));
  const conversations = parsed.output.conversations.map((entry, index) => {
    checkTree(entry, index);
    return closeInterrupted(entry);
  });
  return { conversations, contents: contentsIn(conversations, parsed.output.files), prompts: parsed.output.prompts };
}

/** The contents of the attached files: nothing else, and images only as this page writes them. */
function contentsIn(conversations: Conversation[], files: Record<string, string>): Contents {
  const contents = new Map<string, string>();
  for (const { id: fileId, kind } of conversations.flatMap(attachmentsIn)) {
    const content = Object.hasOwn(files, fileId) ? files[fileId]! : null;
    if (content !== null && (kind === "text" || IMAGE_URL.test(content))) contents.set(fileId, content);
  }
  return contents;
}

function describe(issue: v.BaseIssue<unknown>): string {
  const place = v.getDotPath(issue) ?? "the file";
  return `${place}: ${issue.message}. Nothing was imported.`;
}

/** Merged and restored turns may be after those that follow them. */
function parentsFirst(turns: Turn[]): Turn[] {
  const children = new Map<string | null, Turn[]>();
  const before = new Set<string | null>([null]);
  for (const turn of turns) {
    children.set(turn.parent, [...(children.get(turn.parent) ?? []), turn]);
    if (before.has(turn.parent)) before.add(turn.id);
  }
  if (turns.every(({ id: turnId }) => before.has(turnId))) return turns;
  const ordered = [...(children.get(null) ?? [])];
  for (const turn of ordered) ordered.push(...(children.get(turn.id) ?? []));
  return ordered;
}

/** A parent must come before its children; otherwise the tree could have loops or missing parents. */
function checkTree(entry: Conversation, index: number): void {
  const seen = new Set<string>();
  for (const [at, { id: turnId, parent }] of entry.turns.entries()) {
    const place = `conversations.${index}.turns.${at}`;
    if (seen.has(turnId)) throw new ImportError(`${place}.id: "${turnId}" occurs twice. Nothing was imported.`);
    if (parent !== null && !seen.has(parent)) {
      throw new ImportError(`${place}.parent: no earlier turn has the id "${parent}". Nothing was imported.`);
    }
    seen.add(turnId);
  }
}
