// Which turns of a long conversation are in the document: the last ones, and more when the user scrolls up.
import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { currentId } from "../state/chats";
import { following } from "../state/layout";

const STEP = 30;
/** A chat opens with the last turns; the others of the first step follow when the browser is idle. */
const AT_ONCE = 5;
/** Load earlier turns before the user reaches the first one. */
const NEAR_START = 1200;
/** How many of the last turns of a conversation are shown. */
const extent = signal({ id: "", turns: AT_ONCE });

const shown = (): number => (extent.value.id === currentId.value ? extent.value.turns : AT_ONCE);

function show(turns: number): void {
  extent.value = { id: currentId.value, turns: Math.max(shown(), turns) };
}

/** Shows all turns from the one at `index` on, as for a search hit. */
export const showFrom = (index: number, count: number): void => show(count - index);

/** Returns how to cancel. Safari has no idle callbacks. */
function whenIdle(run: () => void): () => void {
  if (!("requestIdleCallback" in window)) {
    const timer = setTimeout(run, 100);
    return () => clearTimeout(timer);
  }
  const handle = requestIdleCallback(run, { timeout: 500 });
  return () => cancelIdleCallback(handle);
}

/** The index of the first turn in the document. */
export function useWindow(scroller: { current: HTMLElement | null }, count: number): number {
  const fromEnd = useRef<number | null>(null);
  const first = Math.max(0, count - shown());

  useEffect(() => {
    if (first === 0 || shown() >= STEP) return;
    const view = scroller.current!;
    return whenIdle(() => {
      fromEnd.current = view.scrollHeight - view.scrollTop;
      show(shown() + AT_ONCE);
    });
  }, [first, currentId.value]);

  useEffect(() => {
    const view = scroller.current!;
    const more = (): void => {
      if (first === 0 || view.scrollTop > NEAR_START || following.peek()) return;
      fromEnd.current = view.scrollHeight - view.scrollTop;
      show(shown() + STEP);
    };
    const all = (): void => show(Infinity);
    view.addEventListener("scroll", more, { passive: true });
    addEventListener("beforeprint", all);
    return () => {
      view.removeEventListener("scroll", more);
      removeEventListener("beforeprint", all);
    };
  }, [first]);

  useEffect(
    () =>
      following.subscribe((follows) => {
        if (follows && extent.peek().turns > STEP) extent.value = { id: currentId.peek(), turns: STEP };
      }),
    [],
  );

  // Turns that are added above must not move the ones on screen.
  useLayoutEffect(() => {
    const view = scroller.current!;
    if (fromEnd.current !== null) view.scrollTop = view.scrollHeight - fromEnd.current;
    fromEnd.current = null;
  }, [first]);

  return first;
}
