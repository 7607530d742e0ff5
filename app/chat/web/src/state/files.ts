// Saves and opens files on the user's disk.

export function saveFile(name: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

/** Files of any kind, to attach. */
export function chooseFiles(take: (files: File[]) => void): void {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  input.onchange = () => take([...(input.files ?? [])]);
  input.click();
}

export function chooseFile(take: (content: string) => Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const input = document.createElement("input");
    input.type = "file";
    input.accept = "application/json,.json";
    input.onchange = () => {
      const file = input.files?.[0];
      resolve(file ? file.text().then(take) : undefined);
    };
    input.oncancel = () => resolve();
    input.click();
  });
}
