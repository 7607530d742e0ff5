// Changes and deletions of messages in the displayed chat; deletions can be undone.
import type { Answer, Turn } from "../domain/conversation";
import { removeAnswer, removeTurn, restoreAnswer, restoreTurn, reviseAnswer, reviseQuestion } from "../domain/revision";
import { change, current, remove } from "./chats";
import { notify } from "./notices";

export function saveQuestion(turn: Turn, text: string): void {
  if (text !== turn.text) change(current.peek().id, (now) => reviseQuestion(now, turn.id, text));
}

export function saveAnswer(answer: Answer, text: string, reasoning: string): void {
  change(current.peek().id, (now) => reviseAnswer(now, answer.id, text, reasoning));
}

export function deleteTurn(turn: Turn): void {
  const before = current.peek();
  // A chat without messages is none.
  if (before.turns.length === 1) return void remove(before.id);
  change(before.id, (now) => removeTurn(now, turn));
  notify("Your message and its answers were deleted.", {
    action: { label: "Undo", run: () => change(before.id, (now) => restoreTurn(now, before, turn)) },
  });
}

export function deleteAnswer(turn: Turn, answer: Answer): void {
  const { id } = current.peek();
  change(id, (now) => removeAnswer(now, turn.id, answer));
  notify("The answer was deleted.", {
    action: { label: "Undo", run: () => change(id, (now) => restoreAnswer(now, turn, answer)) },
  });
}
