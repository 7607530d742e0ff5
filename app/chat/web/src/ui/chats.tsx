// Everything that concerns all chats: import, export, titles, deletion.
import { exportAll } from "../state/chats";
import { chooseExport } from "../state/files";
import { closePanel } from "../state/layout";
import { exportAllAsMarkdown, importChats } from "../state/transfer";
import { TextButton } from "./button";
import { Dialog } from "./dialog";

export function ChatsPanel() {
  return (
    <Dialog name="chats" title="Manage chats" shape="card">
      <section class="panel-part">
        <h3>Import</h3>
        <p class="quiet">
          From this page, ChatGPT (the zip file, or conversations.json in it), Open WebUI, LibreChat or llama.cpp.
          Nothing that you have is replaced.
        </p>
        <div class="buttons">
          <TextButton icon="upload" onClick={chooseImport}>
            Choose a file
          </TextButton>
        </div>
      </section>
      <section class="panel-part">
        <h3>Export</h3>
        <p class="quiet">
          Chats are saved in this browser only. To have them in another browser, export them as JSON and import that
          file there. Markdown is for reading.
        </p>
        <div class="buttons">
          <TextButton icon="download" onClick={() => void exportAll()}>
            All chats as JSON
          </TextButton>
          <TextButton icon="download" onClick={() => void exportAllAsMarkdown()}>
            All chats as Markdown
          </TextButton>
        </div>
      </section>
    </Dialog>
  );
}

/** The result is shown as a notice, which a dialog would cover. */
const chooseImport = (): void =>
  chooseExport((file) => {
    closePanel();
    void importChats(file);
  });
