// A note above the message field.
import type { ComponentChildren } from "preact";
import { Icon } from "./icon";

export function Note({ tone, children }: { tone: "error" | "warning" | "info"; children: ComponentChildren }) {
  return (
    <div class={`note ${tone}`} role="status">
      <Icon name={tone === "info" ? "info" : "alert"} />
      <div>{children}</div>
    </div>
  );
}
