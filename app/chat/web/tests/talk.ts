// Conversations for tests: a question with its complete answer.
import { type Conversation, ask, changeAnswer, path } from "../src/domain/conversation";

export function talk(before: Conversation, text: string, answer: string): Conversation {
  const { conversation, turn } = ask(before, path(before).at(-1)?.id ?? null, text, ["a"]);
  return changeAnswer(conversation, turn.lanes[0]!.answers[0]!.id, { state: "done", text: answer });
}
