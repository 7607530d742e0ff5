// Offers to attach a long pasted text as a file.
import { signal } from "@preact/signals";
import { attach } from "../state/attaching";
import { draftFiles } from "../state/attaching";
import { draft, setDraft } from "../state/writing";
import { TextButton } from "./button";
import { focusComposer } from "./focus";
import { Note } from "./note";

const LONG = 4000;

const pasted = signal<string | null>(null);

/** The browser inserts the text; this remembers it. */
export function rememberPasted(event: ClipboardEvent): void {
  const text = event.clipboardData?.getData("text/plain").replace(/\r\n?/g, "\n") ?? "";
  if (text.length > LONG) pasted.value = text;
}

export function PastedNote() {
  const text = pasted.value;
  if (text === null || !draft.value.includes(text)) return null;
  return (
    <Note tone="info">
      A long text was pasted.
      <span class="buttons">
        <TextButton icon="attach" onClick={() => attachPasted(text)}>
          Attach it as a file
        </TextButton>
        <TextButton onClick={() => (pasted.value = null)}>Keep as text</TextButton>
      </span>
    </Note>
  );
}

function attachPasted(text: string): void {
  const names = draftFiles.peek().map(({ name }) => name);
  let name = "Pasted text.txt";
  for (let number = 2; names.includes(name); number += 1) name = `Pasted text ${number}.txt`;
  pasted.value = null;
  setDraft(draft.peek().replace(text, () => ""));
  void attach([new File([text], name)]);
  focusComposer();
}
