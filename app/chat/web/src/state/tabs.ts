// Messages between the tabs in which this page is open.

type Message = { kind: "changed" | "who answers" | "answering" | "prompts"; id: string };

/** Longer than a tab in the background takes to reply. */
const REPLY_MS = 150;

function open(): BroadcastChannel | null {
  try {
    return new BroadcastChannel("chat.conversations");
  } catch {
    // Firefox refuses where it blocks cookies: then no other tab can have the same conversations either.
    return null;
  }
}

const channel = open();

const post = (message: Message): void => channel?.postMessage(message);

/** Reports that a conversation was stored or deleted. */
export const reportChange = (id: string): void => post({ kind: "changed", id });

export const reportPrompts = (): void => post({ kind: "prompts", id: "" });

export function listenToPrompts(changed: () => void): void {
  channel?.addEventListener("message", ({ data }: MessageEvent<Message>) => data.kind === "prompts" && changed());
}

export function listen(changed: (id: string) => void, answersHere: (id: string) => boolean): void {
  channel?.addEventListener("message", ({ data }: MessageEvent<Message>) => {
    if (data.kind === "changed") changed(data.id);
    else if (data.kind === "who answers" && answersHere(data.id)) post({ kind: "answering", id: data.id });
  });
}

/** Whether another tab receives an answer of this conversation. */
export function answeredElsewhere(id: string): Promise<boolean> {
  return new Promise((resolve) => {
    if (!channel) return resolve(false);
    const end = (found: boolean): void => {
      clearTimeout(timer);
      channel.removeEventListener("message", onReply);
      resolve(found);
    };
    const onReply = ({ data }: MessageEvent<Message>): void => {
      if (data.kind === "answering" && data.id === id) end(true);
    };
    const timer = setTimeout(() => end(false), REPLY_MS);
    channel.addEventListener("message", onReply);
    post({ kind: "who answers", id });
  });
}
