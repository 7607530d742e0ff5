// Starts the page.
import { render } from "preact";
import "./styles/index.css";
import { openArchive } from "./state/chats";
import { watchModels } from "./state/models";
import { watchAddress } from "./state/route";
import { App } from "./ui/app";
import { focusComposer } from "./ui/focus";
import { listenToKeys } from "./ui/shortcuts";

watchModels();
await openArchive();
await watchAddress();
render(<App />, document.getElementById("app")!);
listenToKeys();
focusComposer();
