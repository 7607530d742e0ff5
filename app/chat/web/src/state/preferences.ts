// The user's preferences in this browser: theme, key, the settings of new conversations.
import { effect, signal } from "@preact/signals";
import { DEFAULT_SAMPLING, type Sampling } from "../domain/conversation";

export type Theme = "system" | "light" | "dark";

const THEME = "chat.theme";
const KEY = "chat.key";
const DEFAULTS = "chat.defaults";
const MODELS = "chat.models";
const FIGURES = "chat.figures";
const TITLES = "chat.titles";
const DEMO_NOTES = "chat.demoNotes";
const SIDEBAR = "chat.sidebar";

export function read(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function write(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    // Storage may be full or forbidden: the setting is then lost when the page closes.
  }
}

/** A stored list of names. */
const lines = (name: string): string[] => (read(name) ?? "").split("\n").filter(Boolean);

export function readJson<T>(name: string, fallback: T): T {
  try {
    return { ...fallback, ...(JSON.parse(read(name) ?? "{}") as Partial<T>) };
  } catch {
    return fallback;
  }
}

const storedTheme = read(THEME);
export const theme = signal<Theme>(storedTheme === "light" || storedTheme === "dark" ? storedTheme : "system");

effect(() => {
  const value = theme.value;
  write(THEME, value === "system" ? null : value);
  if (value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = value;
});

/** The key for the gateway. Kept in memory unless the user chooses to remember it. */
export const apiKey = signal(read(KEY) ?? "");
export const keyRemembered = signal(read(KEY) !== null);

export function setKey(key: string, remember: boolean): void {
  apiKey.value = key;
  keyRemembered.value = remember && key !== "";
  write(KEY, keyRemembered.value ? key : null);
}

export interface Defaults {
  system: string;
  sampling: Sampling;
}

export const defaults = signal<Defaults>(readJson(DEFAULTS, { system: "", sampling: DEFAULT_SAMPLING }));

export function setDefaults(value: Defaults): void {
  defaults.value = value;
  write(DEFAULTS, JSON.stringify(value));
}

/** The models of the last conversation, for the next one. */
export const lastModels = signal<string[]>(lines(MODELS));

export function rememberModels(models: string[]): void {
  lastModels.value = models;
  write(MODELS, models.join("\n"));
}

/** Whether speed and length are shown under single answers. */
export const figuresShown = signal(read(FIGURES) === "shown");

export function showFigures(shown: boolean): void {
  figuresShown.value = shown;
  write(FIGURES, shown ? "shown" : null);
}

/** Whether a model writes the titles of chats. */
export const modelTitles = signal(read(TITLES) !== "off");

export function writeTitles(on: boolean): void {
  modelTitles.value = on;
  write(TITLES, on ? null : "off");
}

/** The models whose demo note was closed. */
export const closedDemoNotes = signal<string[]>(lines(DEMO_NOTES));

export function closeDemoNotes(models: string[]): void {
  closedDemoNotes.value = [...closedDemoNotes.value, ...models];
  write(DEMO_NOTES, closedDemoNotes.value.join("\n"));
}

/** Whether the sidebar is shown on a wide screen. */
export const sidebarShown = signal(read(SIDEBAR) !== "hidden");

export function showSidebar(shown: boolean): void {
  sidebarShown.value = shown;
  write(SIDEBAR, shown ? null : "hidden");
}
