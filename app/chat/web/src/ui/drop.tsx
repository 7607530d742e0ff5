// Files that are dropped on the page or pasted.
import { signal } from "@preact/signals";
import { attach } from "../state/attaching";
import { panel } from "../state/layout";
import { focusComposer } from "./focus";
import { Icon } from "./icon";

/** Whether files are being dragged over the page. */
const over = signal(false);
/** Elements that were entered and not left. */
let depth = 0;

const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;

function end(): void {
  depth = 0;
  over.value = false;
}

export function takeDroppedFiles(): void {
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth += 1;
    over.value = panel.peek() === null;
  });
  addEventListener("dragover", (event) => {
    // Otherwise the browser would open the file in place of the page.
    if (hasFiles(event)) event.preventDefault();
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth -= 1;
    if (depth <= 0) end();
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    end();
    if (panel.peek() === null) take(event.dataTransfer);
  });
  addEventListener("paste", (event) => {
    const { clipboardData } = event;
    // Office programs add a picture of a copied text.
    if (!clipboardData || clipboardData.files.length === 0 || clipboardData.types.includes("text/plain")) return;
    if (panel.peek() !== null) return;
    event.preventDefault();
    take(clipboardData);
  });
}

function take(transfer: DataTransfer | null): void {
  const files = [...(transfer?.files ?? [])];
  if (files.length === 0) return;
  void attach(files);
  focusComposer();
}

export function DropTarget() {
  if (!over.value) return null;
  return (
    <div class="drop-target">
      <p>
        <Icon name="attach" />
        Drop files to attach them
      </p>
    </div>
  );
}
