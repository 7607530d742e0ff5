// Loads KaTeX when a text first has a formula.
export type Katex = typeof import("katex").default;

let loaded: Katex | null = null;

/** Null until it is loaded. */
export const katex = (): Katex | null => loaded;

export async function loadKatex(): Promise<Katex> {
  const [module] = await Promise.all([import("katex"), import("katex/dist/katex.min.css")]);
  return (loaded = module.default);
}
