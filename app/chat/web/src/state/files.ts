// Saves and opens files on the user's disk.

/** Safari reads the file after the click, and may ask the user before it does. */
const READ_WITHIN_MS = 60_000;

export function saveFile(name: string, content: string | Uint8Array<ArrayBuffer>, type = "application/json"): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), READ_WITHIN_MS);
}

function choose(setUp: (input: HTMLInputElement) => void, take: (files: File[]) => void): void {
  const input = document.createElement("input");
  input.type = "file";
  setUp(input);
  input.onchange = () => take([...(input.files ?? [])]);
  input.click();
}

/** Files of any kind, to attach. */
export const chooseFiles = (take: (files: File[]) => void): void => choose((input) => (input.multiple = true), take);

/** An export of chats. */
export const chooseExport = (take: (file: File) => void): void =>
  choose(
    (input) => (input.accept = "application/json,.json,application/zip,.zip"),
    ([file]) => file && take(file),
  );
