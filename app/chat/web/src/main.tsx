// Starts the page.
import { render } from "preact";
import "./styles/index.css";
import { followTheme } from "./markdown/diagrams";
import { deleteUnusedFiles } from "./state/attaching";
import { openArchive } from "./state/chats";
import { watchModels } from "./state/models";
import { openPrompts } from "./state/prompts";
import { watchUrl } from "./state/route";
import { keepDrafts } from "./state/writing";
import { App } from "./ui/app";
import { takeDroppedFiles } from "./ui/drop";
import { focusComposer } from "./ui/focus";
import { followJumps } from "./ui/jump";
import { handleShortcuts } from "./ui/shortcuts";

watchModels();
void openPrompts();
await openArchive();
await watchUrl();
render(<App />, document.getElementById("app")!);
handleShortcuts();
followJumps();
keepDrafts();
deleteUnusedFiles();
takeDroppedFiles();
followTheme();
focusComposer();
