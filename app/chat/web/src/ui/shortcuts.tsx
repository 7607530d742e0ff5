// Keyboard shortcuts, and the dialog that lists them.
import { answering, stopAll } from "../state/answering";
import { closePanel, drawerOpen, openPanel, panel } from "../state/layout";
import { Dialog } from "./dialog";
import { focusComposer } from "./focus";
import { newChat } from "./sidebar";
import { isComposing } from "./typing";

const MAC = /Mac|iPhone|iPad/.test(navigator.userAgent);
const COMMAND = MAC ? "⌘" : "Ctrl";

const KEYS: [keys: string[], meaning: string][] = [
  [["Enter"], "Send message"],
  [["Shift", "Enter"], "New line"],
  [["Esc"], "Stop generating"],
  [["↑"], "Edit last message"],
  [["/"], "Go to message field; there, use a prompt"],
  [[COMMAND, "K"], "Search chats"],
  [["Ctrl", "Shift", "O"], "New chat"],
  [["?"], "Show shortcuts"],
];

export function ShortcutsPanel() {
  return (
    <Dialog name="shortcuts" title="Keyboard shortcuts" shape="card">
      <dl class="keys">
        {KEYS.map(([keys, meaning]) => (
          <div key={meaning}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

const writes = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");

function actionFor(event: KeyboardEvent): (() => void) | null {
  const key = event.key.toLowerCase();
  const command = event.ctrlKey || event.metaKey;
  if (command && !event.shiftKey && key === "k") return () => openPanel("search");
  if (event.ctrlKey && event.shiftKey && key === "o") {
    return () => {
      closePanel();
      newChat();
    };
  }
  if (document.querySelector(":popover-open")) return null;
  if (panel.peek()) {
    // The browser would close the dialog too, but its `close` event comes later than the next key can.
    return key === "escape" ? closePanel : null;
  }
  if (key === "escape" && drawerOpen.peek()) return () => (drawerOpen.value = false);
  if (key === "escape" && answering.peek()) return stopAll;
  if (command || event.altKey || writes(event.target)) return null;
  if (key === "?") return () => openPanel("shortcuts");
  if (key === "/") return () => focusComposer();
  return null;
}

export function handleShortcuts(): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isComposing(event)) return;
    const act = actionFor(event);
    if (!act) return;
    event.preventDefault();
    act();
  });
}
