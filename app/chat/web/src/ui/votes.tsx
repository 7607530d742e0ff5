// The results of the user's votes, for each pair of models.
import { useEffect, useState } from "preact/hooks";
import { type Pair, tally } from "../domain/tally";
import { everything } from "../state/chats";
import { panel } from "../state/layout";
import { Dialog } from "./dialog";
import { nameOf } from "./models";

export function VotesPanel() {
  return (
    <Dialog name="votes" title="Your votes" shape="card">
      {panel.value === "votes" && <Votes />}
    </Dialog>
  );
}

function Votes() {
  const [pairs, setPairs] = useState<Pair[] | null>(null);
  useEffect(() => void everything().then((conversations) => setPairs(tally(conversations))), []);
  if (!pairs) return null;
  if (pairs.length === 0) return <p class="quiet">Compare two models and vote for the better answer.</p>;
  return (
    <ul class="votes">
      {pairs.map(({ models: [one, other], wins, ties }) => (
        <li key={`${one}\n${other}`}>
          <span>
            {nameOf(one)} <strong>{wins[0]}</strong>
          </span>
          <span>
            <strong>{wins[1]}</strong> {nameOf(other)}
          </span>
          <span class="quiet">{ties === 1 ? "1 tie" : `${ties} ties`}</span>
        </li>
      ))}
    </ul>
  );
}
