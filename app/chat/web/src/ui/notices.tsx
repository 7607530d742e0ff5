// Shows notices and announcements.
import { useEffect, useRef } from "preact/hooks";
import { announcement, notice } from "../state/notices";
import { IconButton } from "./button";

const SHOWN_MS = { info: 10_000, error: 30_000 };

export function Announcement() {
  return (
    <p class="unseen" role="status" aria-live="polite">
      {announcement.value}
    </p>
  );
}

/** In the flow of the page: a notice covers no control. */
export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      <Current />
    </div>
  );
}

function Current() {
  const held = useRef(false);
  const shown = notice.value;
  useEffect(() => {
    if (!shown) return;
    const timer = setInterval(() => {
      if (!held.current && notice.peek() === shown) notice.value = null;
    }, SHOWN_MS[shown.tone]);
    return () => clearInterval(timer);
  }, [shown]);
  if (!shown) return null;
  return (
    <div
      class={`notice ${shown.tone}`}
      onMouseEnter={() => (held.current = true)}
      onMouseLeave={() => (held.current = false)}
      onFocusIn={() => (held.current = true)}
      onFocusOut={() => (held.current = false)}
    >
      <span>{shown.text}</span>
      {shown.action && (
        <button
          type="button"
          class="button"
          onClick={() => {
            shown.action!.run();
            notice.value = null;
          }}
        >
          {shown.action.label}
        </button>
      )}
      <IconButton icon="close" label="Dismiss" onClick={() => (notice.value = null)} />
    </div>
  );
}
