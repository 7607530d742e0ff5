// The header above the conversation: sidebar, models, settings.
import { current } from "../state/chats";
import { drawerOpen, narrow, openPanel } from "../state/layout";
import { showSidebar, sidebarShown } from "../state/preferences";
import { IconButton } from "./button";
import { Icon } from "./icon";
import { PickerButton } from "./models";
import { newChat } from "./sidebar";

export function Header() {
  const away = narrow.value || !sidebarShown.value;
  const open = (): void => {
    if (narrow.peek()) drawerOpen.value = true;
    else showSidebar(true);
  };
  return (
    <header class="top">
      {away && <IconButton icon={narrow.value ? "menu" : "panel"} label="Show chats" onClick={open} />}
      <PickerButton />
      <span class="spring" />
      <SystemPromptSign />
      {away && <IconButton icon="new" label="New chat" onClick={newChat} />}
      <IconButton icon="settings" label="Chat settings" onClick={() => openPanel("settings")} />
    </header>
  );
}

/** In force: the chat has a system prompt, which changes every answer. */
function SystemPromptSign() {
  const system = current.value.system.trim();
  if (!system) return null;
  return (
    <button type="button" class="chip" aria-haspopup="dialog" title={system.slice(0, 300)} onClick={openSettings}>
      <Icon name="prompt" />
      <span class="chip-text">System prompt</span>
    </button>
  );
}

const openSettings = (): void => openPanel("settings");
