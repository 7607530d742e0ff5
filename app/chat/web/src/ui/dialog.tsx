// A modal panel. The browser keeps the focus inside, closes it on Escape and gives the focus back.
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { type Panel, closePanel, panel } from "../state/layout";
import { IconButton } from "./button";

interface Props {
  name: Panel;
  title: string;
  /** `sheet`: at the right edge; `card`: in the middle; `dropdown`: under the header. */
  shape: "sheet" | "card" | "dropdown";
  children: ComponentChildren;
}

export function Dialog({ name, title, shape, children }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const open = panel.value === name;

  // Focus before the next key event, so that typing goes into the panel.
  useLayoutEffect(() => {
    const dialog = element.current!;
    if (open && !dialog.open) dialog.showModal();
    if (!open && dialog.open) dialog.close();
  }, [open]);

  return (
    <dialog
      ref={element}
      class={`dialog ${shape}`}
      aria-labelledby={heading}
      onClose={() => panel.peek() === name && closePanel()}
      onMouseDown={(event) => event.target === element.current && closePanel()}
    >
      {open && (
        <div class="dialog-body">
          <header class="dialog-head">
            <h2 id={heading}>{title}</h2>
            <IconButton icon="close" label="Close" onClick={closePanel} />
          </header>
          {children}
        </div>
      )}
    </dialog>
  );
}
