// Separates a model's thinking from its answer.

export interface Parts {
  thinking: string;
  answer: string;
  /** False while the thinking block is open. */
  closed: boolean;
}

const OPEN = /^\s*<think(?:ing)?>/i;
const CLOSE = /<\/think(?:ing)?>/i;

/**
 * Splits `<think>…</think>` from the start of an answer. Some templates put the opening tag in the
 * prompt, so that a closing tag alone ends the thinking as well.
 */
export function splitThinking(text: string, reasoning = ""): Parts {
  const open = OPEN.exec(text);
  const body = open ? text.slice(open[0].length) : text;
  const close = CLOSE.exec(body);
  if (close) {
    return {
      thinking: join(reasoning, body.slice(0, close.index)),
      answer: body.slice(close.index + close[0].length).trimStart(),
      closed: true,
    };
  }
  if (open) return { thinking: join(reasoning, body), answer: "", closed: false };
  return { thinking: reasoning.trim(), answer: text, closed: text !== "" || reasoning === "" };
}

const join = (first: string, second: string): string => [first.trim(), second.trim()].filter(Boolean).join("\n\n");
