// The header above the conversation: sidebar, models, settings.
import { drawerOpen, narrow, openPanel } from "../state/layout";
import { showSidebar, sidebarShown } from "../state/preferences";
import { IconButton } from "./button";
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
      {away && <IconButton icon="new" label="New chat" onClick={newChat} />}
      <IconButton icon="settings" label="Chat settings" onClick={() => openPanel("settings")} />
    </header>
  );
}
