// The models that the page offers, and those between which the gateway chooses.
import { afterEach, expect, test, vi } from "vitest";
import { fetchStatus } from "../src/gateway/status";
import { automatic, conditionNamed, models, status } from "../src/state/models";

// They need a browser.
vi.mock("../src/state/preferences", () => ({ apiKey: { peek: () => "" } }));

const LOCAL = { id: "phi", state: "ready", tasks: ["chat", "completion"], slots: 2 };
const FAR = { id: "gpt", state: "ready", tasks: ["chat"], external: true };
const VECTORS = { id: "bge", state: "ready", tasks: ["embedding"] };

afterEach(() => {
  vi.unstubAllGlobals();
  status.value = null;
});

async function receive(...list: object[]): Promise<void> {
  vi.stubGlobal("fetch", () => Promise.resolve(Response.json({ models: list })));
  status.value = await fetchStatus("", new AbortController().signal);
}

const ids = (list: readonly { id: string }[]): string[] => list.map(({ id }) => id);

test("only models that can chat are offered", async () => {
  await receive(LOCAL, VECTORS, FAR);
  expect(ids(models.value)).toEqual(["phi", "gpt"]);
});

test("a gateway that reports no tasks has models to chat with", async () => {
  await receive({ id: "phi", state: "ready" });
  expect(ids(models.value)).toEqual(["phi"]);
});

test("the gateway does not choose an external model", async () => {
  await receive({ ...LOCAL, state: "down" }, FAR);
  expect(ids(automatic.value)).toEqual(["phi"]);
  expect(conditionNamed("auto").label).toBe("No model available");
  expect(conditionNamed("gpt").label).toBe("Ready");
});

test("the page does not promise that an external model is restarted", async () => {
  await receive({ ...LOCAL, state: "down" }, { ...FAR, state: "down" });
  expect(conditionNamed("phi").advice).toContain("restart");
  expect(conditionNamed("gpt").advice).not.toContain("restart");
});

test("a model that is not in memory can be chosen, and the page names the wait", async () => {
  await receive({ ...LOCAL, state: "asleep" });
  expect(conditionNamed("phi")).toMatchObject({ light: "asleep", label: "Asleep" });
  expect(conditionNamed("phi").advice).toContain("takes longer");
  expect(conditionNamed("auto").light).toBe("asleep");
});

test("a model that is loaded for messages accepts more of them", async () => {
  await receive({ ...LOCAL, state: "loading", available: true });
  expect(conditionNamed("phi")).toMatchObject({ light: "busy", label: "Loading" });
  await receive({ ...LOCAL, state: "loading" });
  expect(conditionNamed("phi").light).toBe("loading");
});
