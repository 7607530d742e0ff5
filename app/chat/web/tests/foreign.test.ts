// Chats of other programs keep their branches, their models and their thinking.
import { describe, expect, test } from "vitest";
import { type Conversation, path, shownAnswer, versions } from "../src/domain/conversation";
import { messagesIn, readImport } from "../src/domain/imports";
import { exportFile } from "../src/domain/transfer";

const read = (content: unknown) => readImport([JSON.stringify(content)], ["here"]);

/** Questions and displayed answers, as lines. */
const displayed = (conversation: Conversation): string[] =>
  path(conversation).flatMap((turn) => [turn.text, ...turn.lanes.map((lane) => shownAnswer(lane).text)]);

type Node = [id: string, parent: string | null, role: string, text: string, more?: Record<string, unknown>];

function chatgptChat(nodes: Node[], current: string, more: Record<string, unknown> = {}) {
  const mapping = Object.fromEntries(
    nodes.map(([id, parent, role, text, extra = {}], index) => [
      id,
      {
        id,
        parent,
        children: nodes.filter((node) => node[1] === id).map((node) => node[0]),
        message: role
          ? {
              id,
              author: { role, name: null, metadata: {} },
              create_time: 1_700_000_000 + index,
              content: { content_type: "text", parts: [text] },
              recipient: "all",
              metadata: role === "assistant" ? { model_slug: "gpt-4o" } : {},
              ...extra,
            }
          : null,
      },
    ]),
  );
  const times = { create_time: 1_700_000_000.5, update_time: 1_700_000_100 };
  return { id: "11-aa", conversation_id: "11-aa", title: "Trip", ...times, mapping, current_node: current, ...more };
}

const trip: Node[] = [
  ["root", null, "", ""],
  ["system", "root", "system", "", { metadata: { is_visually_hidden_from_conversation: true } }],
  ["q1", "system", "user", "Where to?"],
  ["a1", "q1", "assistant", "To Rome."],
  ["a2", "q1", "assistant", "To Oslo."],
  ["q2", "a1", "user", "By train?"],
  ["a3", "q2", "assistant", "Yes, by train."],
  ["q3", "a2", "user", "Is it cold?"],
  ["a4", "q3", "assistant", "Yes, cold."],
];

describe("ChatGPT", () => {
  test("a chat keeps its title, times, model and displayed branch", () => {
    const { program, conversations } = read([chatgptChat(trip, "a3")]);
    const chat = conversations[0]!;
    expect(program).toBe("ChatGPT");
    expect([chat.title, chat.createdAt, chat.updatedAt]).toEqual(["Trip", 1_700_000_000_500, 1_700_000_100_000]);
    expect(displayed(chat)).toEqual(["Where to?", "To Rome.", "By train?", "Yes, by train."]);
    expect(chat.turns[0]!.lanes[0]!.model).toBe("gpt-4o");
    expect(chat.models).toEqual(["here"]);
    expect(messagesIn(conversations)).toBe(8);
  });

  test("each continued answer is in a version of its question", () => {
    const chat = read([chatgptChat(trip, "a4")]).conversations[0]!;
    expect(displayed(chat)).toEqual(["Where to?", "To Oslo.", "Is it cold?", "Yes, cold."]);
    const [first, second] = versions(chat, path(chat)[0]!);
    expect([first!.lanes[0]!.answers[0]!.text, second!.lanes[0]!.answers[0]!.text]).toEqual(["To Rome.", "To Oslo."]);
  });

  test("repeated answers without continuation are versions of one answer", () => {
    const chat = read([chatgptChat(trip.slice(0, 5), "a1")]).conversations[0]!;
    expect(chat.turns).toHaveLength(1);
    expect(chat.turns[0]!.lanes[0]!.answers.map(({ text }) => text)).toEqual(["To Rome.", "To Oslo."]);
    expect(displayed(chat)).toEqual(["Where to?", "To Rome."]);
  });

  test("tool calls are left out, thoughts are thinking, and the parts of one answer are joined", () => {
    const thoughts = { content_type: "thoughts", thoughts: [{ summary: "Plan", content: "Search first." }] };
    const picture = {
      content_type: "multimodal_text",
      parts: [{ content_type: "image_asset_pointer" }, "What is it?"],
    };
    const { conversations, skipped } = read([
      chatgptChat(
        [
          ["q", null, "user", "", { content: picture }],
          ["t", "q", "assistant", "", { content: thoughts }],
          ["s", "t", "assistant", "Searching.", {}],
          ["call", "s", "assistant", "search()", { recipient: "web" }],
          ["out", "call", "tool", "results"],
          ["a", "out", "assistant", "A cat \ue200cite\ue202turn0\ue201."],
        ],
        "a",
      ),
    ]);
    const [answer] = conversations[0]!.turns[0]!.lanes[0]!.answers;
    expect(answer).toMatchObject({ text: "Searching.\n\nA cat .", reasoning: "Search first.", state: "done" });
    expect(conversations[0]!.turns[0]!.text).toBe("What is it?");
    expect(skipped.files).toBe(1);
  });

  test("empty, damaged and endless chats are left out and counted", () => {
    const circle = chatgptChat(
      [
        ["x", "y", "user", "one"],
        ["y", "x", "user", "two"],
      ],
      "x",
    );
    const { conversations, skipped } = read([chatgptChat(trip, "a3"), circle, { mapping: 7 }, null]);
    expect(conversations).toHaveLength(1);
    expect(skipped).toMatchObject({ empty: 1, damaged: 2 });
  });

  test("a chat whose branches would multiply its text is left out", () => {
    const nodes: Node[] = [
      ["q", null, "user", "?"],
      ["a0", "q", "assistant", "x".repeat(100_000)],
    ];
    for (let at = 0; at < 200; at += 1) nodes.push([`b${at}`, "a0", "assistant", "end"]);
    expect(read([chatgptChat(nodes, "q")]).skipped["too long"]).toBe(1);
  });

  test("a second import has the same ids", () => {
    const ids = () => read([chatgptChat(trip, "a3", { id: "ü/../", conversation_id: "" })]).conversations;
    expect(ids()).toEqual(ids());
    expect(() => readImport([exportFile(ids())], [])).not.toThrow();
  });
});

test("Open WebUI: answers of several models are side by side, thinking is separate", () => {
  const message = (id: string, parentId: string | null, role: string, content: string, more = {}) => [
    id,
    { id, parentId, childrenIds: [], role, content, timestamp: 1_700_000_000, ...more },
  ];
  const thought =
    '<details type="reasoning" done="true">\n<summary>Thought for 2 seconds</summary>\n> 1 &lt; 2\n</details>\n';
  const messages = Object.fromEntries([
    message("q", null, "user", "Which?", { models: ["llama", "qwen"] }),
    message("a", "q", "assistant", `${thought}This.`, { model: "llama" }),
    message("b", "q", "assistant", "That.", { model: "qwen" }),
    message("q2", "b", "user", "Why?"),
    message("c", "q2", "assistant", "Because.", { model: "qwen" }),
  ]);
  const chat = { title: "Choice", params: { system: "Be short." }, history: { messages, currentId: "c" } };
  const { program, conversations } = read([
    { id: "w1", title: "Choice", chat, updated_at: 1_700_000_500, pinned: true },
  ]);
  const [found] = conversations;
  expect(program).toBe("Open WebUI");
  expect(found).toMatchObject({ title: "Choice", system: "Be short.", pinned: true, updatedAt: 1_700_000_500_000 });
  expect(displayed(found!)).toEqual(["Which?", "This.", "That.", "Why?", "Because."]);
  expect(found!.turns[0]!.lanes.map(({ model }) => model)).toEqual(["llama", "qwen"]);
  expect(found!.turns[0]!.lanes[0]!.answers[0]!.reasoning).toBe("1 < 2");
});

test("LibreChat: answers inside the messages", () => {
  const answer = {
    messageId: "b",
    parentMessageId: "a",
    sender: "GPT",
    isCreatedByUser: false,
    text: "Hello.",
    children: [],
  };
  const { program, conversations } = read({
    conversationId: "l1",
    title: "Greeting",
    recursive: true,
    messages: [{ messageId: "a", parentMessageId: "0-0", isCreatedByUser: true, text: "Hi", children: [answer] }],
  });
  expect(program).toBe("LibreChat");
  expect(displayed(conversations[0]!)).toEqual(["Hi", "Hello."]);
  expect(conversations[0]!.turns[0]!.lanes[0]!.model).toBe("GPT");
});

test("llama.cpp: a list of messages with a root", () => {
  const { program, conversations } = read([
    {
      conv: { id: "c1", name: "Tides", currNode: "3", lastModified: 1_700_000_000_000 },
      messages: [
        { id: "1", type: "root", role: "system", content: "", parent: null, timestamp: 1 },
        { id: "2", type: "text", role: "user", content: "Why tides?", parent: "1", timestamp: 1_700_000_000_000 },
        { id: "3", type: "text", role: "assistant", content: "The moon.", reasoningContent: "Hm.", parent: "2" },
      ],
    },
  ]);
  expect(program).toBe("llama.cpp");
  expect(displayed(conversations[0]!)).toEqual(["Why tides?", "The moon."]);
  expect(conversations[0]!.turns[0]!.lanes[0]!.answers[0]!.reasoning).toBe("Hm.");
});

test("a question without an answer stays", () => {
  const chat = read([chatgptChat([["q", null, "user", "Anyone?"]], "q")]).conversations[0]!;
  expect(chat.turns[0]).toMatchObject({ text: "Anyone?" });
  expect(chat.turns[0]!.lanes[0]!.answers[0]).toMatchObject({ text: "", state: "stopped" });
});

test.each([[[]], [{}], [null], [7], [[{ name: "x" }]], [{ messages: [] }]])("%j is not a chat export", (content) => {
  expect(() => read(content)).toThrow("This file isn't a chat export.");
});
