// Goes to the place of a search hit and marks its words.
import { effect, signal } from "@preact/signals";
import { path, reveal } from "../domain/conversation";
import { fold } from "../domain/search";
import { change, current, currentId } from "../state/chats";
import { arriving, following } from "../state/layout";
import { showFrom } from "./window";

interface Target {
  id: string;
  turnId: string;
  words: string[];
}

/** Where to go as soon as its conversation is shown. */
export const jump = signal<Target | null>(null);

/** Turns above the hit, so that the user can scroll up a little. */
const CONTEXT = 3;

export function followJumps(): void {
  effect(() => {
    const target = jump.value;
    if (!target || target.id !== currentId.value) return;
    jump.value = null;
    // After the conversation is rendered, and scrolled to its end.
    requestAnimationFrame(() => go(target));
  });
}

function go({ id, turnId, words }: Target): void {
  arriving.value = true;
  change(id, (now) => reveal(now, turnId));
  const turns = path(current.peek());
  following.value = false;
  showFrom(Math.max(0, turns.findIndex((turn) => turn.id === turnId) - CONTEXT), turns.length);
  requestAnimationFrame(() => {
    const element = document.getElementById(`turn-${turnId}`);
    const range = element && find(element, words);
    (range?.startContainer.parentElement ?? element)?.scrollIntoView({ block: "center" });
    if (range && "highlights" in CSS) CSS.highlights.set("found", new Highlight(range));
    requestAnimationFrame(() => requestAnimationFrame(() => (arriving.value = false)));
  });
}

/** The first occurrence of one of the words. */
function find(root: HTMLElement, words: string[]): Range | null {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode as Text;
    if (text.parentElement?.closest(".unseen, header, footer")) continue;
    const plain = fold(text.data);
    const word = words.find((candidate) => plain.includes(candidate));
    if (!word) continue;
    const range = new Range();
    range.setStart(text, plain.indexOf(word));
    range.setEnd(text, plain.indexOf(word) + word.length);
    return range;
  }
  return null;
}
