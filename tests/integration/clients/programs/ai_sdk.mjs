// Vercel's AI SDK with its provider for servers with OpenAI's API.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, Output, streamText, tool } from "ai";

import { CITY, run, SCHEMA } from "./features.mjs";

const FORCED = {
  tools: { weather: tool({ inputSchema: jsonSchema(CITY) }) },
  toolChoice: "required",
};

function question(asked, more) {
  const provider = createOpenAICompatible({
    name: "gateway",
    baseURL: `${asked.url}/v1`,
    apiKey: "x",
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
  return {
    model: provider(asked.model),
    prompt: asked.text,
    temperature: 0,
    maxOutputTokens: asked.most_tokens,
    ...more,
  };
}

const generate = (asked, more) => generateText(question(asked, more));

// Without onError it prints each error.
const streamed = (asked, more) => streamText({ onError: () => {}, ...question(asked, more) });

async function chat(asked) {
  return (await generate(asked)).text;
}

async function stream(asked) {
  const texts = [];
  for await (const text of streamed(asked).textStream) texts.push(text);
  return texts.filter(Boolean);
}

async function tools(asked) {
  const whole = (await generate(asked, FORCED)).toolCalls;
  const calls = [...whole, ...(await streamed(asked, FORCED).toolCalls)];
  return calls.map((call) => [call.toolName, call.input]);
}

async function schema(asked) {
  const output = Output.object({ schema: jsonSchema(SCHEMA) });
  return (await generate(asked, { output })).output;
}

async function usage(asked) {
  const found = [(await generate(asked)).usage, await streamed(asked).usage];
  return found.map((one) => [one.inputTokens, one.outputTokens]);
}

async function cancel(asked) {
  const stopping = new AbortController();
  for await (const _ of streamed(asked, { abortSignal: stopping.signal }).textStream) {
    stopping.abort();
    return 1;
  }
}

await run({ chat, stream, tools, schema, usage, cancel, error: chat, retry: chat });
