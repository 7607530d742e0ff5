// The start of a new conversation: a heading and example prompts.
import { current } from "../state/chats";
import { openPanel } from "../state/layout";
import { AUTO, models } from "../state/models";
import { setDraft } from "../state/writing";
import { focusComposer } from "./focus";
import { Icon } from "./icon";
import { nameOf } from "./models";

const STARTS: [title: string, hint: string, prompt: string][] = [
  ["Explain an error", "Paste a log or a stack trace", "Explain this error and its most likely cause:\n\n"],
  ["Write a script", "Describe the task", "Write a shell script that "],
  ["Compare options", "As a table, with a recommendation", "Compare these options in a table, and recommend one:\n\n"],
  ["Make it shorter", "Paste text to shorten", "Rewrite this at half the length, and keep every fact:\n\n"],
];

export function Greeting() {
  const chosen = current.value.models;
  return (
    <div class="empty">
      <h2>What can I help with?</h2>
      <p class="quiet">
        {chosen.length > 1 ? `${list(chosen.map(nameOf))} will answer side by side.` : whereItRuns(chosen)}
      </p>
    </div>
  );
}

export function Starts() {
  return (
    <div class="starts-area">
      <ul class="starts">
        {STARTS.map(([title, hint, prompt]) => (
          <li key={title}>
            <button type="button" onClick={() => begin(prompt)}>
              <strong>{title}</strong>
              <span>{hint}</span>
            </button>
          </li>
        ))}
      </ul>
      {models.value.length > 1 && current.value.models.length < 2 && (
        <button type="button" class="link" onClick={() => openPanel("models")}>
          <Icon name="columns" />
          Compare models side by side
        </button>
      )}
    </div>
  );
}

function begin(prompt: string): void {
  setDraft(prompt);
  focusComposer({ evenOnTouch: true });
}

/** Promises privacy only when no external model can answer. */
function whereItRuns(chosen: string[]): string {
  const auto = chosen.includes(AUTO);
  const possible = models.value.filter(({ id, external }) => chosen.includes(id) || (auto && !external));
  const away = possible.filter(({ external }) => external).map(({ id }) => id);
  if (away.length > 0) return `Messages may be sent to ${list(away)}, an outside service.`;
  return "Runs on your own server. Your messages stay private.";
}

const list = (names: string[]): string => new Intl.ListFormat("en").format(names);
