// Turns a chat of another program into a conversation, with all of its branches.
import {
  type Answer,
  type Conversation,
  DEFAULT_SAMPLING,
  type Lane,
  MAX_MODELS,
  type Turn,
  newAnswer,
  titleFrom,
} from "../conversation";
import type { ForeignChat, ForeignMessage } from "./chat";

/** Why a chat is not imported. */
export class Skipped extends Error {
  constructor(readonly reason: "empty" | "too long") {
    super(reason);
  }
}

const MAX_MESSAGES = 20_000;
const MAX_TITLE = 200;
/** A text that many branches share is stored in each of them: a small file could fill the storage. */
const MAX_GROWTH = 4;
const FREE_CHARACTERS = 1_000_000;

type Written = Pick<ForeignMessage, "text" | "reasoning" | "model" | "time">;

/** The messages after a question that make up one answer. */
interface Way extends Written {
  id: string;
  /** The questions that follow it. */
  next: ForeignMessage[];
  displayed: boolean;
}

export function convert(chat: ForeignChat, program: string, models: string[], now = Date.now()): Conversation {
  const { turns, shown } = new Converter(chat, now).run();
  if (turns.length === 0) throw new Skipped("empty");
  const createdAt = chat.createdAt ?? chat.updatedAt ?? now;
  const title = chat.title
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, MAX_TITLE);
  return {
    id: safeId(`${program.toLowerCase().replace(/\W+/g, "-")}-${chat.id || createdAt}`),
    title: title || titleFrom(turns[0]!.text),
    named: title !== "",
    createdAt,
    updatedAt: Math.max(createdAt, chat.updatedAt ?? 0),
    models: models.slice(0, MAX_MODELS),
    blind: false,
    system: systemOf(chat),
    sampling: DEFAULT_SAMPLING,
    turns,
    shown,
    ...(chat.pinned && { pinned: true }),
  };
}

const systemOf = ({ system, messages }: ForeignChat): string =>
  system || messages.find(({ role, text }) => role === "system" && text.trim() !== "")?.text || "";

/** A question and the turn that it follows; the chat starts before its first question. */
interface Place {
  question: ForeignMessage | null;
  parent: string | null;
}

class Converter {
  private readonly children = new Map<string | null, ForeignMessage[]>();
  private readonly displayed = new Set<string>();
  private readonly ids = new Set<string>();
  private readonly turns: Turn[] = [];
  private readonly shown: Record<string, string> = {};
  private room: number;

  constructor(
    private readonly chat: ForeignChat,
    private readonly now: number,
  ) {
    const { messages } = chat;
    if (messages.length > MAX_MESSAGES) throw new Skipped("too long");
    const known = new Map(messages.map((message) => [message.id, message]));
    for (const message of messages) {
      const parent = message.parent !== null && known.has(message.parent) ? message.parent : null;
      const siblings = this.children.get(parent);
      if (siblings) siblings.push(message);
      else this.children.set(parent, [message]);
    }
    for (const siblings of this.children.values()) siblings.sort((one, other) => (one.time ?? 0) - (other.time ?? 0));
    for (let id = chat.current; id !== null && !this.displayed.has(id); id = known.get(id)?.parent ?? null) {
      this.displayed.add(id);
    }
    const size = messages.reduce((sum, { text, reasoning }) => sum + text.length + reasoning.length, 0);
    this.room = FREE_CHARACTERS + MAX_GROWTH * size;
  }

  run(): { turns: Turn[]; shown: Record<string, string> } {
    const open: Place[] = [{ question: null, parent: null }];
    for (let at = open.pop(); at; at = open.pop()) {
      const following = this.add(at, this.ways(at.question));
      open.push(...following.toReversed());
    }
    return { turns: this.turns, shown: this.shown };
  }

  /** Adds a question; each of several answers with further questions gets a version of it. */
  private add({ question, parent }: Place, ways: Way[]): Place[] {
    const places = (next: ForeignMessage[], above: string | null): Place[] =>
      next.map((following) => ({ question: following, parent: above }));
    // The chat starts without a question, but a greeting may follow.
    if (question === null && ways.every(({ text }) => text === "")) {
      return ways.flatMap(({ next }) => places(next, parent));
    }
    const followed = ways.filter(({ next }) => next.length > 0);
    const ended = ways.filter(({ next }) => next.length === 0);
    const groups = followed.length < 2 ? [ways] : followed.map((way, index) => (index === 0 ? [way, ...ended] : [way]));
    return groups.flatMap((group) => {
      const turn = this.turn(question, parent, group);
      const key = parent ?? "";
      const displayed = group.some((way) => way.displayed) || (question !== null && question.id === this.chat.current);
      if (displayed || !(key in this.shown)) this.shown[key] = turn.id;
      this.turns.push(turn);
      return group.flatMap(({ next }) => places(next, turn.id));
    });
  }

  private turn(question: ForeignMessage | null, parent: string | null, ways: Way[]): Turn {
    const lanes = new Map<string, Way[]>();
    const compared = question !== null && this.isComparison(question, ways);
    const shown = ways.find(({ displayed }) => displayed) ?? ways.find(({ next }) => next.length > 0) ?? ways.at(-1)!;
    for (const way of ways) {
      const model = (compared ? way.model : shown.model) ?? "Unknown model";
      const lane = lanes.has(model) || lanes.size < MAX_MODELS ? model : [...lanes.keys()][0]!;
      lanes.set(lane, [...(lanes.get(lane) ?? []), way]);
    }
    this.spend(question?.text ?? "");
    return {
      id: this.unique(question?.id ?? "start"),
      parent,
      text: question?.text ?? "",
      createdAt: question?.time ?? this.now,
      lanes: [...lanes].map(([model, own]) => this.lane(model, own, shown)),
      vote: null,
    };
  }

  /** Whether several models answered at the same time: the answers were displayed side by side. */
  private isComparison(question: ForeignMessage, ways: Way[]): boolean {
    const models = new Set(ways.map(({ model }) => model));
    return this.chat.compared?.has(question.id) === true && models.size > 1 && !models.has(null);
  }

  private lane(model: string, ways: Way[], shown: Way): Lane {
    const at = ways.indexOf(shown);
    return { model, answers: ways.map((way) => this.answer(way, model)), shown: at < 0 ? ways.length - 1 : at };
  }

  private answer(way: Way, lane: string): Answer {
    this.spend(way.text + way.reasoning);
    const empty = way.text === "" && way.reasoning === "";
    return {
      ...newAnswer(way.time ?? this.now),
      id: this.unique(way.id),
      state: empty ? "stopped" : "done",
      text: way.text,
      reasoning: way.reasoning,
      servedBy: way.model !== null && way.model !== lane ? way.model : null,
      finish: empty ? null : "stop",
    };
  }

  private spend(text: string): void {
    this.room -= text.length;
    if (this.room < 0) throw new Skipped("too long");
  }

  private unique(id: string): string {
    let candidate = safeId(id);
    for (let number = 2; this.ids.has(candidate); number += 1) candidate = safeId(`${id}-${number}`);
    this.ids.add(candidate);
    return candidate;
  }

  /** All answers to a question. An answer may have several messages, between which a model used tools. */
  private ways(question: ForeignMessage | null): Way[] {
    const found: Way[] = [];
    const open: { message: ForeignMessage | null; way: Written }[] = [{ message: question, way: NOTHING }];
    for (let at = open.pop(); at; at = open.pop()) {
      const { message, way } = at;
      const children = this.children.get(message?.id ?? null) ?? [];
      const next = children.filter(({ role }) => role === "user");
      const further = children.filter(({ role }) => role !== "user");
      if (next.length > 0 || further.length === 0) {
        const id = message === null ? "start" : message === question ? `${message.id}-answer` : message.id;
        const displayed = message !== null && message !== question && this.displayed.has(message.id);
        found.push({ ...way, id, next, displayed });
      }
      for (const child of further.toReversed()) open.push({ message: child, way: joined(way, child) });
      this.spend(further.length > 1 ? way.text : "");
    }
    const written = found.filter(({ text, reasoning, next }) => text !== "" || reasoning !== "" || next.length > 0);
    return written.length > 0 ? written : found.slice(0, 1);
  }
}

const NOTHING: Written = { text: "", reasoning: "", model: null, time: null };

function joined(way: Written, message: ForeignMessage): Written {
  if (message.role !== "assistant") return way;
  return {
    text: appended(way.text, message.text),
    reasoning: appended(way.reasoning, message.reasoning),
    model: message.model ?? way.model,
    time: message.time ?? way.time,
  };
}

function appended(before: string, text: string): string {
  if (text.trim() === "") return before;
  return before === "" ? text : `${before}\n\n${text}`;
}

/** An id as this page writes them; the same for the same text, so that a second import finds the chat again. */
function safeId(text: string): string {
  if (/^[\w-]{1,64}$/.test(text)) return text;
  // FNV-1a with 2 × 32 bits.
  let [one, other] = [0x811c9dc5, 0x9dc5811c];
  for (let at = 0; at < text.length; at += 1) {
    one = Math.imul(one ^ text.charCodeAt(at), 0x01000193);
    other = Math.imul(other ^ text.charCodeAt(text.length - 1 - at), 0x01000193);
  }
  return [one, other].map((part) => (part >>> 0).toString(16).padStart(8, "0")).join("");
}
