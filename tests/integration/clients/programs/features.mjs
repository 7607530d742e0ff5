// Runs the features of a client, one for each line on stdin, and prints its result as JSON.
import { createInterface } from "node:readline";

export const SCHEMA = {
  type: "object",
  properties: { yes: { type: "boolean" } },
  required: ["yes"],
  additionalProperties: false,
};
export const CITY = {
  type: "object",
  properties: { city: { type: "string", maxLength: 20 } },
  required: ["city"],
  additionalProperties: false,
};

// The names of an error's classes, the most special first.
function classes(error) {
  const names = [];
  for (let one = error; one !== null; one = Object.getPrototypeOf(one)) {
    names.push(one.name ?? one.constructor.name, one.constructor.name);
  }
  return [...new Set(names)];
}

export async function run(features) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { feature, ...asked } = JSON.parse(line);
    let result;
    try {
      result = { value: await features[feature](asked) };
    } catch (error) {
      result = { error: { classes: classes(error), text: `${error.name}: ${error.message}` } };
    }
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
}
