// The address: which conversation is on screen (`#/c/ID`), and which models to compare (`?models=a,b`).
import { effect } from "@preact/signals";
import { MAX_MODELS } from "../domain/conversation";
import { current, currentId, show, startNew } from "./chats";
import { notify } from "./notices";
import { lastModels } from "./preferences";

const idInHash = (): string | null => /^#\/c\/([\w-]+)$/.exec(location.hash)?.[1] ?? null;

export const hrefOf = (id: string): string => `#/c/${id}`;

/** The models named in the address, if any. */
function modelsInAddress(): string[] | null {
  const value = new URLSearchParams(location.search).get("models");
  const names = [
    ...new Set(
      (value ?? "")
        .split(",")
        .map((name) => name.trim())
        .filter(Boolean),
    ),
  ];
  return names.length > 0 ? names.slice(0, MAX_MODELS) : null;
}

async function follow(): Promise<void> {
  const id = idInHash();
  if (id === null) {
    if (current.peek().turns.length > 0) startNew();
  } else if (!(await show(id))) {
    notify("This browser has no such conversation.", { tone: "error" });
    location.replace("#/");
  }
}

export async function watchAddress(): Promise<void> {
  addEventListener("hashchange", () => void follow());
  await follow();
  const models = modelsInAddress();
  if (models && idInHash() === null) {
    lastModels.value = models;
    startNew(models);
  }
  // A conversation gets its address with its first question, so that a reload finds it again.
  effect(() => {
    const stored = current.value.turns.length > 0;
    const wanted = stored ? hrefOf(currentId.value) : "#/";
    if (location.hash !== wanted && (stored || idInHash() !== null)) history.replaceState(null, "", wanted);
  });
}
