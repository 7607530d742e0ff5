// Formats durations, speeds and token counts.
import type { Figures } from "../domain/conversation";

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

export function rate(perSecond: number): string {
  return `${perSecond >= 100 ? Math.round(perSecond).toLocaleString("en") : perSecond.toFixed(1)} tokens/s`;
}

export function figureList({ firstTokenMs, tokens, tokensPerSecond }: Figures): string[] {
  return [
    firstTokenMs === null ? "" : `${duration(firstTokenMs)} to first token`,
    tokensPerSecond === null ? "" : rate(tokensPerSecond),
    tokens > 0 ? `${tokens.toLocaleString("en")} token${tokens === 1 ? "" : "s"}` : "",
  ].filter(Boolean);
}
