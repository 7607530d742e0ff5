// How often each model was preferred to another one.
import { type Conversation, TIE } from "./conversation";

export interface Pair {
  /** In alphabetical order. */
  models: [string, string];
  wins: [number, number];
  ties: number;
}

/** Each pair of models with votes; those with the most votes first. */
export function tally(conversations: Conversation[]): Pair[] {
  const pairs = new Map<string, Pair>();
  const pairOf = (one: string, other: string): Pair => {
    const models = [one, other].sort() as [string, string];
    const key = models.join("\n");
    const pair = pairs.get(key) ?? { models, wins: [0, 0], ties: 0 };
    pairs.set(key, pair);
    return pair;
  };
  for (const { lanes, vote } of conversations.flatMap(({ turns }) => turns)) {
    const models = lanes.map(({ model }) => model);
    if (vote === null) continue;
    for (const [at, one] of models.entries()) {
      for (const other of models.slice(at + 1)) {
        if (vote === TIE) pairOf(one, other).ties += 1;
        else if (vote === one || vote === other) {
          const pair = pairOf(one, other);
          pair.wins[pair.models.indexOf(vote)]! += 1;
        }
      }
    }
  }
  const votes = ({ wins, ties }: Pair): number => wins[0] + wins[1] + ties;
  return [...pairs.values()].sort((one, other) => votes(other) - votes(one));
}
