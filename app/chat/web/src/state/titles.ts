// Titles written by the model that answered. The next question of the user comes first.
import { needsTitle, titleIn, titleRequest } from "../domain/titles";
import { streamChat } from "../gateway/chat";
import { changeStored, stored } from "./chats";
import { placeholderFor } from "./models";
import { apiKey, modelTitles } from "./preferences";

/** A title is not worth a longer wait. */
const PATIENCE_MS = 30_000;

let running: AbortController | null = null;

/** A question was asked: it must not wait for a title. */
export function cancelTitles(): void {
  running?.abort();
  running = null;
}

export async function writeTitle(id: string): Promise<void> {
  const conversation = await stored(id);
  if (!modelTitles.peek() || !conversation || !needsTitle(conversation)) return;
  const wanted = titleRequest(conversation);
  if (!wanted || placeholderFor(wanted.servedBy)) return;
  cancelTitles();
  const own = (running = new AbortController());
  const signal = AbortSignal.any([own.signal, AbortSignal.timeout(PATIENCE_MS)]);
  let text = "";
  try {
    for await (const event of streamChat(wanted.request, { key: apiKey.peek(), signal, background: true })) {
      if (event.kind === "delta") text += event.text;
      // The model is busy with other people: the first question is a title too.
      else if (event.kind === "waiting" && event.position !== null) return own.abort();
    }
  } catch {
    // The chat keeps the title that it has.
    return;
  }
  const title = titleIn(text);
  if (title === null || own.signal.aborted) return;
  await changeStored(id, (now) => (needsTitle(now) ? { ...now, title, titled: true } : now));
}
