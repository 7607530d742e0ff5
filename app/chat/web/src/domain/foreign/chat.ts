// A chat of another program: a tree of messages.

export interface ForeignMessage {
  id: string;
  parent: string | null;
  /** `none`: neither a question nor an answer, as a tool's output. */
  role: "user" | "assistant" | "system" | "none";
  text: string;
  reasoning: string;
  model: string | null;
  time: number | null;
  /** Files, images and recordings, which exports do not contain. */
  files: number;
}

export interface ForeignChat {
  id: string;
  title: string;
  createdAt: number | null;
  updatedAt: number | null;
  pinned: boolean;
  system: string;
  /** The last displayed message. */
  current: string | null;
  messages: ForeignMessage[];
  /** The questions that several models answered at the same time. */
  compared?: ReadonlySet<string>;
}

/** A program whose exports can be read. */
export interface ForeignFormat {
  program: string;
  /** Whether this is one of its chats. */
  matches: (value: unknown) => boolean;
  read: (value: unknown) => ForeignChat;
}

/** The message before, in formats that have a list. */
export const chained = (messages: Omit<ForeignMessage, "parent">[]): ForeignMessage[] =>
  messages.map((message, index) => ({ ...message, parent: messages[index - 1]?.id ?? null }));
