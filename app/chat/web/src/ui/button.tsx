// Buttons: an icon with an accessible name, or text.
import type { ComponentChildren, JSX } from "preact";
import { Icon, type IconName } from "./icon";

type Props = Omit<JSX.IntrinsicElements["button"], "icon" | "label"> & { icon: IconName; label: string };

export function IconButton({ icon, label, ...rest }: Props) {
  return (
    <button type="button" {...rest} class={`icon-button ${String(rest.class ?? "")}`} aria-label={label} title={label}>
      <Icon name={icon} />
    </button>
  );
}

interface TextProps {
  icon?: IconName;
  primary?: boolean;
  onClick: () => void;
  children: ComponentChildren;
}

export function TextButton({ icon, primary = false, onClick, children }: TextProps) {
  return (
    <button type="button" class={primary ? "button primary" : "button"} onClick={onClick}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}
