// The sidebar: the list of conversations, import, export, theme.
import { signal, useComputed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { rename } from "../domain/conversation";
import { answeringIds } from "../state/answering";
import type { Heading } from "../state/archive";
import { changeStored, currentId, exportAll, headings, remove, startNew, storage } from "../state/chats";
import { chooseExport } from "../state/files";
import { drawerOpen, narrow, openPanel } from "../state/layout";
import { siteName } from "../state/models";
import { persistent } from "../state/persistence";
import { type Theme, showSidebar, sidebarShown, theme } from "../state/preferences";
import { editedPrompt } from "../state/prompts";
import { hrefOf } from "../state/route";
import { exportOneAsJson, exportOneAsMarkdown, importChats } from "../state/transfer";
import { IconButton } from "./button";
import { focusComposer } from "./focus";
import { Icon, type IconName } from "./icon";
import { MenuButton } from "./menu";
import { Notices } from "./notices";
import { isComposing } from "./typing";

function openPrompts(): void {
  editedPrompt.value = null;
  openPanel("prompts");
}

const renaming = signal<string | null>(null);

export function newChat(): void {
  drawerOpen.value = false;
  startNew();
  focusComposer();
}

export function Sidebar() {
  const visible = narrow.value ? drawerOpen.value : sidebarShown.value;
  const close = (): void => {
    if (narrow.value) drawerOpen.value = false;
    else showSidebar(false);
  };
  return (
    <aside class={`sidebar ${visible ? "visible" : ""}`} inert={!visible} aria-label="Chats">
      <div class="sidebar-head">
        <span class="site" dir="auto">
          {siteName.value}
        </span>
        <IconButton icon="search" label="Search chats" onClick={() => openPanel("search")} />
        <IconButton icon="panel" label="Hide chats" onClick={close} />
      </div>
      <button type="button" class="new-chat" onClick={newChat}>
        <Icon name="new" />
        New chat
      </button>
      <nav class="conversations" aria-label="Chats">
        {grouped(headings.value).map(([label, group]) => (
          <section key={label}>
            <h2>{label}</h2>
            <ul>
              {group.map((heading) => (
                <Entry key={heading.id} heading={heading} />
              ))}
            </ul>
          </section>
        ))}
        <StorageNote />
      </nav>
      {narrow.value && drawerOpen.value && <Notices />}
      <div class="sidebar-foot">
        <ThemeChoice />
        <MenuButton
          label="More"
          actions={[
            { icon: "upload", label: "Import chats", run: () => chooseExport((file) => void importChats(file)) },
            { icon: "download", label: "Export all chats", run: () => void exportAll() },
            { icon: "prompt", label: "Prompts", run: openPrompts },
            { icon: "settings", label: "Manage chats", run: () => openPanel("chats") },
            { icon: "columns", label: "Your votes", run: () => openPanel("votes") },
            { icon: "key", label: "API key", run: () => openPanel("key") },
            { icon: "keyboard", label: "Keyboard shortcuts", run: () => openPanel("shortcuts") },
          ]}
        />
      </div>
    </aside>
  );
}

/** Where the chats are, and how long they last. */
function StorageNote() {
  if (storage.value === "memory") return <p class="quiet">Chats are lost when you close this tab.</p>;
  if (headings.value.length === 0) return <p class="quiet">Chats are saved in this browser only.</p>;
  if (persistent.value !== false) return null;
  return (
    <p class="quiet storage">
      Chats are saved in this browser only, and it may delete them when it needs space.{" "}
      <button type="button" class="inline-link" onClick={() => void exportAll()}>
        Export them
      </button>{" "}
      to keep them.
    </p>
  );
}

function Entry({ heading }: { heading: Heading }) {
  const { id, title, pinned } = heading;
  const answersUnseen = useComputed(() => answeringIds.value.has(id) && currentId.value !== id);
  if (renaming.value === id) return <RenameField heading={heading} />;
  return (
    <li class="entry">
      <a
        dir="auto"
        href={hrefOf(id)}
        aria-current={id === currentId.value ? "page" : undefined}
        onClick={() => (drawerOpen.value = false)}
        onDblClick={() => (renaming.value = id)}
      >
        {answersUnseen.value && <span class="pulse" role="img" aria-label="Answering:" />}
        {title}
      </a>
      <MenuButton
        label={`Actions for ${title}`}
        actions={[
          {
            icon: "pin",
            label: pinned ? "Unpin" : "Pin",
            run: () => void changeStored(id, (now) => ({ ...now, pinned: !now.pinned })),
          },
          { icon: "edit", label: "Rename", run: () => (renaming.value = id) },
          { icon: "download", label: "Export as Markdown", run: () => void exportOneAsMarkdown(id, title) },
          { icon: "download", label: "Export as JSON", run: () => void exportOneAsJson(id, title) },
          { icon: "remove", label: "Delete", run: () => void remove(id) },
        ]}
      />
    </li>
  );
}

function RenameField({ heading: { id, title } }: { heading: Heading }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), []);
  const finish = (save: boolean): void => {
    if (renaming.peek() !== id) return;
    renaming.value = null;
    if (save) void changeStored(id, (conversation) => rename(conversation, field.current!.value));
  };
  return (
    <li class="entry">
      <input
        ref={field}
        class="rename"
        aria-label="Title"
        defaultValue={title}
        onBlur={() => finish(true)}
        onKeyDown={(event) => {
          if (isComposing(event)) return;
          if (event.key === "Enter" || event.key === "Escape") {
            event.stopPropagation();
            finish(event.key === "Enter");
          }
        }}
      />
    </li>
  );
}

const DAY = 86_400_000;
const PINNED = ["Pinned"] as const;

/** Groups conversations by age. */
function grouped(all: Heading[]): [string, Heading[]][] {
  const today = new Date().setHours(0, 0, 0, 0);
  const groups: [string, number][] = [
    ["Today", today],
    ["Yesterday", today - DAY],
    ["Last 7 days", today - 7 * DAY],
    ["Last 30 days", today - 30 * DAY],
    ["Older", -Infinity],
  ];
  const result = new Map<string, Heading[]>();
  for (const heading of all) {
    const [label] = heading.pinned ? PINNED : groups.find(([, since]) => heading.updatedAt >= since)!;
    result.set(label, [...(result.get(label) ?? []), heading]);
  }
  return [...result].sort(([one], [other]) => Number(other === "Pinned") - Number(one === "Pinned"));
}

const THEMES: [Theme, IconName, string][] = [
  ["system", "system", "System theme"],
  ["light", "light", "Light theme"],
  ["dark", "dark", "Dark theme"],
];

function ThemeChoice() {
  return (
    <div class="segments" role="group" aria-label="Theme">
      {THEMES.map(([value, icon, label]) => (
        <IconButton
          key={value}
          icon={icon}
          label={label}
          aria-pressed={theme.value === value}
          onClick={() => (theme.value = value)}
        />
      ))}
    </div>
  );
}
