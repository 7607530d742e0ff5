// The page's URL: the displayed conversation (`#/c/ID`), and the models to compare (`?models=a,b`).
import { computed, effect, signal } from "@preact/signals";
import { MAX_MODELS } from "../domain/conversation";
import { current, currentId, show, startNew } from "./chats";
import { openPanel } from "./layout";
import { notify } from "./notices";
import { lastModels } from "./preferences";

export const idInHash = (): string | null => /^#\/c\/([\w-]+)$/.exec(location.hash)?.[1] ?? null;

/** Until the chat that the URL names at the start is read, and all that its texts need is loaded. */
export const opening = signal(idInHash() !== null);

/** Whether a chat without a question is shown. */
export const fresh = computed(() => current.value.turns.length === 0 && !opening.value);

export const hrefOf = (id: string): string => `#/c/${id}`;

/** The models named in the URL, if any. */
function modelsInUrl(): string[] | null {
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
    notify("This chat isn't here. Chats are saved only in the browser where they were written.", {
      tone: "error",
      action: { label: "How to move chats", run: () => openPanel("chats") },
    });
    location.replace("#/");
  }
}

export async function watchUrl(): Promise<void> {
  addEventListener("hashchange", () => void follow());
  await follow();
  opening.value = false;
  const models = modelsInUrl();
  if (models && idInHash() === null) {
    lastModels.value = models;
    startNew(models);
  }
  // The first question sets the conversation's URL, so that a reload opens it again.
  effect(() => {
    const stored = current.value.turns.length > 0;
    const wanted = stored ? hrefOf(currentId.value) : "#/";
    if (location.hash !== wanted && (stored || idInHash() !== null)) history.replaceState(null, "", wanted);
  });
}
