// Starts the page.
import { render } from "preact";
import "./styles/index.css";
import { loadRenderer, loadRendererAtFirstInput } from "./markdown/loading";
import { deleteUnusedFiles } from "./state/attaching";
import { openArchive } from "./state/chats";
import { watchModels } from "./state/models";
import { openOffline } from "./state/offline";
import { openPrompts } from "./state/prompts";
import { idInHash, watchUrl } from "./state/route";
import { keepDrafts } from "./state/writing";
import { App } from "./ui/app";
import { takeDroppedFiles } from "./ui/drop";
import { focusComposer } from "./ui/focus";
import { followJumps } from "./ui/jump";
import { handleShortcuts } from "./ui/shortcuts";

watchModels();
// Needed for a chat that is open from the start: load it while the chat is read.
if (idInHash() !== null) void loadRenderer();
void openPrompts();
await openArchive();
const opened = watchUrl();
// The frame of the page comes before the chat that the URL names.
render(<App />, document.getElementById("app")!);
await opened;
handleShortcuts();
followJumps();
keepDrafts();
deleteUnusedFiles();
takeDroppedFiles();
loadRendererAtFirstInput();
focusComposer();
openOffline();
