// Parsing of server-sent events split at any position.
import { expect, test } from "vitest";
import { EventParser, type ServerEvent } from "../src/gateway/events";

const STREAM =
  ': queue {"position":1}\n\ndata: {"a":1}\n\ndata:two\ndata: lines\r\n\r\nid: 7\nevent: x\n\ndata: ä€😀\r\rdata: [DONE]\n\n';
const EVENTS: ServerEvent[] = [
  { type: "comment", text: 'queue {"position":1}' },
  { type: "data", data: '{"a":1}' },
  { type: "data", data: "two\nlines" },
  { type: "data", data: "ä€😀" },
  { type: "data", data: "[DONE]" },
];

test.each([1, 2, 3, 7, 1000])("in pieces of %i characters", (size) => {
  const parser = new EventParser();
  const found: ServerEvent[] = [];
  for (let at = 0; at < STREAM.length; at += size) found.push(...parser.push(STREAM.slice(at, at + size)));
  expect(found).toEqual(EVENTS);
});

test("an incomplete event is not emitted", () => {
  expect([...new EventParser().push("data: half")]).toEqual([]);
});
