// Attached files: in the draft, where each can be removed, and above a question.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { type Attachment, sizeText } from "../domain/attachments";
import { loadContent } from "../state/contents";
import { openPanel, panel } from "../state/layout";
import { Dialog } from "./dialog";
import { Icon } from "./icon";

/** The attachment in the dialog. */
const viewed = signal<Attachment | null>(null);

interface Props {
  files: Attachment[];
  /** Names of files that are being read. */
  reading?: string[];
  remove?: (file: Attachment) => void;
}

export function AttachmentList({ files, reading = [], remove }: Props) {
  if (files.length + reading.length === 0) return null;
  return (
    <ul class="files" aria-label="Attached files">
      {files.map((file) => (
        <Item key={file.id} file={file} remove={remove} />
      ))}
      {reading.map((name, index) => (
        <li key={`${index} ${name}`} class="file" aria-busy="true">
          <span class="file-main">
            <span class="pulse" aria-hidden="true" />
            <span class="file-text">
              <bdi class="file-name">{name}</bdi>
              <span class="quiet">Reading…</span>
            </span>
          </span>
        </li>
      ))}
    </ul>
  );
}

function Item({ file, remove }: { file: Attachment; remove: Props["remove"] }) {
  const open = (): void => {
    viewed.value = file;
    openPanel("file");
  };
  return (
    <li class="file">
      <button type="button" class="file-main" aria-haspopup="dialog" onClick={open}>
        {file.kind === "image" ? <Picture file={file} alt="" /> : <Icon name="file" />}
        <span class="file-text">
          <bdi class="file-name">{file.name}</bdi>
          <span class="quiet">{factsOf(file)}</span>
        </span>
      </button>
      {remove && (
        <button
          type="button"
          class="file-remove"
          aria-label={`Remove ${file.name}`}
          title="Remove"
          onClick={() => remove(file)}
        >
          <Icon name="close" />
        </button>
      )}
    </li>
  );
}

function factsOf({ kind, size, pages, tokens }: Attachment): string {
  if (kind === "image") return `Image, ${sizeText(size)}`;
  const facts = `about ${tokens.toLocaleString("en")} tokens`;
  if (pages === undefined) return facts.charAt(0).toUpperCase() + facts.slice(1);
  return `${pages} page${pages === 1 ? "" : "s"}, ${facts}`;
}

/** An attached image, from memory. */
function Picture({ file, alt }: { file: Attachment; alt: string }) {
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    let gone = false;
    let created: string | null = null;
    void loadContent(file.id).then((content) => {
      if (gone || content === null) return;
      setUrl((created = URL.createObjectURL(blobOf(content))));
    });
    return () => {
      gone = true;
      if (created) URL.revokeObjectURL(created);
    };
  }, [file.id]);
  return url ? <img src={url} alt={alt} /> : <Icon name="image" />;
}

/** The policy allows no requests to data URLs. */
function blobOf(dataUrl: string): Blob {
  const bytes = Uint8Array.from(atob(dataUrl.slice(dataUrl.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: "image/jpeg" });
}

export function FilePanel() {
  const file = viewed.value;
  return (
    <Dialog name="file" title={file?.name ?? ""} shape="card">
      {panel.value === "file" && file && (
        <div class="file-view">
          <p class="quiet">{factsOf(file)}</p>
          {file.kind === "image" ? <Picture file={file} alt={file.name} /> : <TextContent file={file} />}
        </div>
      )}
    </Dialog>
  );
}

/** More text would make the page slow. */
const MAX_SHOWN = 200_000;

function TextContent({ file }: { file: Attachment }) {
  const [text, setText] = useState<string | null>("");
  useEffect(() => void loadContent(file.id).then(setText), [file.id]);
  if (text === null) return <p>This file is no longer available: the browser has deleted it.</p>;
  return (
    <>
      <pre tabIndex={0} dir="auto">
        {text.slice(0, MAX_SHOWN)}
      </pre>
      {text.length > MAX_SHOWN && <p class="quiet">The beginning of the text. The model receives all of it.</p>}
    </>
  );
}
