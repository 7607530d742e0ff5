// The `openai` package for JavaScript.
import OpenAI from "openai";

import { CITY, run, SCHEMA } from "./features.mjs";

const FORCED = {
  tools: [{ type: "function", function: { name: "weather", parameters: CITY } }],
  tool_choice: "required",
};
const FORM = { type: "json_schema", json_schema: { name: "answer", schema: SCHEMA, strict: true } };

const question = (asked) => ({
  model: asked.model,
  messages: [{ role: "user", content: asked.text }],
  temperature: 0,
  max_tokens: asked.most_tokens,
});

const completions = (asked) =>
  new OpenAI({ baseURL: `${asked.url}/v1`, apiKey: "x" }).chat.completions;

const ask = (asked, more) => completions(asked).create({ ...question(asked), ...more });

async function chat(asked) {
  return (await ask(asked)).choices[0].message.content;
}

async function stream(asked) {
  const texts = [];
  for await (const part of await ask(asked, { stream: true })) {
    texts.push(part.choices[0].delta.content);
  }
  return texts.filter(Boolean);
}

async function tools(asked) {
  const whole = await ask(asked, FORCED);
  const running = completions(asked).stream({ ...question(asked), ...FORCED });
  const calls = [whole, await running.finalChatCompletion()].map(
    (one) => one.choices[0].message.tool_calls[0].function,
  );
  return calls.map((call) => [call.name, JSON.parse(call.arguments)]);
}

async function schema(asked) {
  const answer = await completions(asked).parse({ ...question(asked), response_format: FORM });
  return answer.choices[0].message.parsed ?? JSON.parse(answer.choices[0].message.content);
}

async function usage(asked) {
  const found = [(await ask(asked)).usage];
  const more = { stream: true, stream_options: { include_usage: true } };
  for await (const part of await ask(asked, more)) {
    if (part.usage) found.push(part.usage);
  }
  return found.map((one) => [one.prompt_tokens, one.completion_tokens]);
}

async function cancel(asked) {
  const chunks = await ask(asked, { stream: true });
  for await (const _ of chunks) {
    chunks.controller.abort();
    return 1;
  }
}

await run({ chat, stream, tools, schema, usage, cancel, error: chat, retry: chat });
