// The whole page.
import { useSignalEffect } from "@preact/signals";
import { configure } from "../domain/conversation";
import { change, current } from "../state/chats";
import { drawerOpen, narrow, openPanel, panel } from "../state/layout";
import { bestModel, keyRequired, models, siteName, status } from "../state/models";
import { fresh, opening } from "../state/route";
import { FilePanel } from "./attachments";
import { ChatsPanel } from "./chats";
import { Composer } from "./composer";
import { DropTarget } from "./drop";
import { Starts } from "./empty";
import { Header } from "./header";
import { KeyPanel } from "./key";
import { ModelsPanel } from "./models";
import { Announcement, Notices } from "./notices";
import { VariablesPanel } from "./prompt-picker";
import { PromptsPanel } from "./prompts";
import { SearchPanel } from "./search";
import { SettingsPanel } from "./settings";
import { ShortcutsPanel } from "./shortcuts";
import { Sidebar } from "./sidebar";
import { Thread } from "./thread";
import { VotesPanel } from "./votes";

export function App() {
  useSignalEffect(() => {
    if (keyRequired.value && panel.peek() === null) openPanel("key");
  });
  useSignalEffect(() => {
    document.title = current.value.turns.length > 0 ? `${current.value.title} · ${siteName.value}` : siteName.value;
  });
  useSignalEffect(chooseSomeModel);
  const covered = narrow.value && drawerOpen.value;
  return (
    <div class="page">
      <Sidebar />
      {covered && <div class="veil" onClick={() => (drawerOpen.value = false)} />}
      {/* Nothing is written into a new chat while another one opens. */}
      <main class={fresh.value ? "main fresh" : "main"} inert={covered || opening.value}>
        <h1 class="unseen">{siteName.value}</h1>
        <Header />
        <Thread />
        {!covered && <Notices />}
        <Composer />
        <DropTarget />
        {fresh.value && <Starts />}
      </main>
      <ModelsPanel />
      <SettingsPanel />
      <SearchPanel />
      <ShortcutsPanel />
      <KeyPanel />
      <VotesPanel />
      <FilePanel />
      <ChatsPanel />
      <PromptsPanel />
      <VariablesPanel />
      <Announcement />
    </div>
  );
}

/** Selects the models of a new conversation: those that the user chose last, if they exist, else the best one. */
function chooseSomeModel(): void {
  if (!status.value || models.value.length === 0) return;
  const { models: chosen, turns } = current.value;
  const known = chosen.filter((id) => id === "auto" || models.value.some((model) => model.id === id));
  if (known.length === chosen.length && chosen.length > 0) return;
  if (turns.length > 0) return;
  change(current.peek().id, (now) => configure(now, { models: known.length > 0 ? known : [bestModel.value!.id] }));
}
