// Everything that concerns all chats: import, export, titles, deletion.
import { useState } from "preact/hooks";
import { stopEverything } from "../state/answering";
import { exportAll, headings, removeAll } from "../state/chats";
import { chooseExport } from "../state/files";
import { closePanel } from "../state/layout";
import { modelTitles, writeTitles } from "../state/preferences";
import { cancelTitles } from "../state/titles";
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
      <section class="panel-part">
        <label class="switch">
          <input
            type="checkbox"
            role="switch"
            checked={modelTitles.value}
            onChange={(event) => writeTitles(event.currentTarget.checked)}
          />
          <span>
            <strong>Titles by the model</strong>
            <span class="quiet">The model that answered also writes a short title. Your own titles stay.</span>
          </span>
        </label>
      </section>
      <DeleteAll />
    </Dialog>
  );
}

/** Asks once more, and offers the export first. */
function DeleteAll() {
  const [asking, setAsking] = useState(false);
  const number = headings.value.length;
  if (number === 0) return null;
  const chats = number === 1 ? "1 chat" : `${number.toLocaleString("en")} chats`;
  return (
    <section class="panel-part" aria-live="polite">
      <h3>Delete</h3>
      {asking ? (
        <>
          <p>Delete {chats} from this browser? You can undo it right after, until you close the message or this tab.</p>
          <div class="buttons">
            <TextButton onClick={() => setAsking(false)}>Keep them</TextButton>
            <TextButton icon="download" onClick={() => void exportAll()}>
              Export them first
            </TextButton>
            <button type="button" class="button danger" onClick={deleteAll}>
              Delete {chats}
            </button>
          </div>
        </>
      ) : (
        <div class="buttons">
          <TextButton icon="remove" onClick={() => setAsking(true)}>
            Delete all chats
          </TextButton>
        </div>
      )}
    </section>
  );
}

function deleteAll(): void {
  closePanel();
  stopEverything();
  cancelTitles();
  void removeAll();
}

/** The result is shown as a notice, which a dialog would cover. */
const chooseImport = (): void =>
  chooseExport((file) => {
    closePanel();
    void importChats(file);
  });
