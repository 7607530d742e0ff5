// The displayed conversation. It scrolls with the newest text until the user scrolls up.
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Fragment } from "preact";
import { path } from "../domain/conversation";
import { summarizedTurns } from "../domain/summary";
import { current, currentId } from "../state/chats";
import { omittedTurns } from "../state/context";
import { arriving, following } from "../state/layout";
import { fresh } from "../state/route";
import { Greeting } from "./empty";
import { Icon } from "./icon";
import { OmittedNote, SummaryNote } from "./summary";
import { TurnView } from "./turn";
import { useWindow } from "./window";

const NEAR_END = 64;
/** How long a scroll event may follow the wheel, key or finger that caused it. */
const CAUSED_MS = 500;

export function Thread() {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const turns = path(current.value);
  const omitted = Math.min(omittedTurns.value, turns.length - 1);
  const summarized = summarizedTurns(current.value);
  const first = useWindow(scroller, turns.length);

  useLayoutEffect(() => {
    following.value = true;
    toEnd(scroller);
  }, [currentId.value]);

  useEffect(() => {
    const grown = new ResizeObserver(() => following.peek() && toEnd(scroller));
    grown.observe(content.current!);
    grown.observe(scroller.current!);
    return () => grown.disconnect();
  }, []);

  useEffect(() => stopFollowingWhenScrolledUp(scroller.current!), []);

  return (
    <div class="thread-frame">
      <div ref={scroller} class={following.value ? "thread following" : "thread"} tabIndex={-1}>
        <div ref={content} class="thread-content">
          {fresh.value ? (
            <Greeting />
          ) : (
            turns.slice(first).map((turn, index) => (
              <Fragment key={turn.id}>
                {summarized > 0 && summarized === first + index && <SummaryNote key={currentId.value} />}
                {omitted > summarized && omitted === first + index && (
                  <OmittedNote count={omitted} summarized={summarized} />
                )}
                <TurnView turn={turn} last={first + index === turns.length - 1} />
              </Fragment>
            ))
          )}
          {summarized > 0 && summarized === turns.length && <SummaryNote key={currentId.value} />}
        </div>
      </div>
      {!following.value && (
        <button
          type="button"
          class="to-end"
          aria-label="Scroll to bottom"
          onClick={() => {
            following.value = true;
            toEnd(scroller);
          }}
        >
          <Icon name="down" />
        </button>
      )}
    </div>
  );
}

function toEnd({ current: view }: { current: HTMLElement | null }): void {
  view!.scrollTop = view!.scrollHeight;
}

/**
 * Only the user stops the following. The browser scrolls too, when another conversation is shorter or when
 * text above gets its real height: then no input came before, and the height has changed.
 */
function stopFollowingWhenScrolledUp(view: HTMLElement): () => void {
  let before = view.scrollTop;
  let height = view.scrollHeight;
  let inputAt = -Infinity;
  const onInput = (): void => {
    inputAt = performance.now();
  };
  const onScroll = (): void => {
    const gap = view.scrollHeight - view.clientHeight - view.scrollTop;
    const byUser = performance.now() - inputAt < CAUSED_MS || view.scrollHeight === height;
    if (arriving.peek()) following.value = false;
    else if (gap <= NEAR_END) following.value = true;
    else if (view.scrollTop < before && byUser) following.value = false;
    before = view.scrollTop;
    height = view.scrollHeight;
  };
  const inputs = ["wheel", "touchmove", "keydown", "pointerdown", "pointermove"];
  view.addEventListener("scroll", onScroll, { passive: true });
  for (const name of inputs) view.addEventListener(name, onInput, { passive: true });
  return () => {
    view.removeEventListener("scroll", onScroll);
    for (const name of inputs) view.removeEventListener(name, onInput);
  };
}
