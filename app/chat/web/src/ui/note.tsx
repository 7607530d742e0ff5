// A note above the message field.
import type { ComponentChildren } from "preact";
import { IconButton } from "./button";
import { Icon } from "./icon";

interface Props {
  tone: "error" | "warning" | "info";
  children: ComponentChildren;
  close?: () => void;
}

export function Note({ tone, children, close }: Props) {
  return (
    <div class={`note ${tone}`} role="status">
      <Icon name={tone === "info" ? "info" : "alert"} />
      <div>{children}</div>
      {close && <IconButton icon="close" label="Close this note" onClick={close} />}
    </div>
  );
}
