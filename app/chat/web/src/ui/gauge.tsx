// How full the context of the chosen models is.
import { contextUse } from "../state/context";

/** From here on, it is shown on small screens too. */
const HIGH = 0.75;

export function ContextGauge() {
  const use = contextUse.value;
  if (!use) return null;
  const part = Math.min(1, use.used / use.context);
  const exact = `About ${use.used.toLocaleString("en")} of ${use.context.toLocaleString("en")} tokens`;
  return (
    <span class={part >= HIGH ? "gauge high" : "gauge"} title={exact}>
      <meter min={0} max={1} high={HIGH} value={part} aria-label="Context used" />
      {Math.round(part * 100)}% of context used
    </span>
  );
}
