// The displayed conversation. It scrolls with the newest text until the user scrolls up.
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { path } from "../domain/conversation";
import { current, currentId } from "../state/chats";
import { following } from "../state/layout";
import { EmptyState } from "./empty";
import { Icon } from "./icon";
import { TurnView } from "./turn";

const NEAR_END = 64;

export function Thread() {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const turns = path(current.value);

  const toEnd = (): void => {
    const view = scroller.current!;
    view.scrollTop = view.scrollHeight;
  };

  useLayoutEffect(() => {
    following.value = true;
    toEnd();
  }, [currentId.value]);

  useEffect(() => {
    const grown = new ResizeObserver(() => following.peek() && toEnd());
    grown.observe(content.current!);
    grown.observe(scroller.current!);
    return () => grown.disconnect();
  }, []);

  useEffect(() => {
    const view = scroller.current!;
    let before = view.scrollTop;
    const look = (): void => {
      const gap = view.scrollHeight - view.clientHeight - view.scrollTop;
      // Only the user scrolls up; growing text does not.
      if (gap <= NEAR_END) following.value = true;
      else if (view.scrollTop < before) following.value = false;
      before = view.scrollTop;
    };
    view.addEventListener("scroll", look, { passive: true });
    return () => view.removeEventListener("scroll", look);
  }, []);

  return (
    <div class="thread-frame">
      <div ref={scroller} class="thread" tabIndex={-1}>
        <div ref={content} class="thread-content">
          {turns.length === 0 ? (
            <EmptyState />
          ) : (
            turns.map((turn, index) => <TurnView key={turn.id} turn={turn} last={index === turns.length - 1} />)
          )}
        </div>
      </div>
      {!following.value && (
        <button
          type="button"
          class="to-end"
          aria-label="Go to the newest text"
          onClick={() => {
            following.value = true;
            toEnd();
          }}
        >
          <Icon name="down" />
        </button>
      )}
    </div>
  );
}
