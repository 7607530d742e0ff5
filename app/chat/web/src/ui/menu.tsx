// A button that opens a short list of actions.
import { useId, useRef } from "preact/hooks";
import { IconButton } from "./button";
import { Icon, type IconName } from "./icon";

export interface Action {
  icon: IconName;
  label: string;
  run: () => void;
}

const GAP = 4;

interface Props {
  label: string;
  actions: Action[];
  disabled?: boolean;
}

export function MenuButton({ label, actions, disabled = false }: Props) {
  const id = useId();
  const menu = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLSpanElement>(null);

  const items = (): HTMLButtonElement[] => [...menu.current!.querySelectorAll("button")];

  const place = (event: { newState: string }): void => {
    if (event.newState !== "open") return;
    const anchor = button.current!.getBoundingClientRect();
    const { style, offsetHeight, offsetWidth } = menu.current!;
    const below = anchor.bottom + GAP;
    const fits = below + offsetHeight < innerHeight;
    style.top = `${fits ? below : Math.max(GAP, anchor.top - GAP - offsetHeight)}px`;
    style.left = `${Math.max(GAP, Math.min(anchor.right - offsetWidth, innerWidth - offsetWidth - GAP))}px`;
    items()[0]?.focus();
  };

  const move = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const all = items();
    const at = all.indexOf(document.activeElement as HTMLButtonElement);
    all[(at + step + all.length) % all.length]?.focus();
  };

  const choose = (action: Action): void => {
    menu.current!.hidePopover();
    action.run();
  };

  return (
    <>
      <span ref={button} class="menu-anchor">
        <IconButton icon="more" label={label} popoverTarget={id} aria-haspopup="menu" disabled={disabled} />
      </span>
      <div
        id={id}
        ref={menu}
        popover="auto"
        role="menu"
        aria-label={label}
        class="menu"
        onToggle={place}
        onKeyDown={move}
      >
        {actions.map((action) => (
          <button key={action.label} type="button" role="menuitem" onClick={() => choose(action)}>
            <Icon name={action.icon} />
            {action.label}
          </button>
        ))}
      </div>
    </>
  );
}
