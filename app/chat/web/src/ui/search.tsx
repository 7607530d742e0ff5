// The search dialog over all conversations.
import { useEffect, useState } from "preact/hooks";
import { type Hit, wordsOf } from "../domain/search";
import { headings, search } from "../state/chats";
import { closePanel, drawerOpen, panel } from "../state/layout";
import { hrefOf } from "../state/route";
import { jump } from "./jump";
import { Dialog } from "./dialog";
import { isComposing } from "./typing";

const RECENT = 8;

export function SearchPanel() {
  return (
    <Dialog name="search" title="Search chats" shape="card">
      {panel.value === "search" && <Search />}
    </Dialog>
  );
}

function Search() {
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<Hit[] | null>(null);
  const [at, setAt] = useState(0);
  const recent = headings.value.slice(0, RECENT).map((heading): Hit => ({ ...heading, excerpt: null, turnId: null }));
  const hits = found ?? recent;

  useEffect(() => {
    setAt(0);
    if (!query.trim()) return setFound(null);
    const abort = new AbortController();
    void search(query, abort.signal).then((result) => abort.signal.aborted || setFound(result));
    return () => abort.abort();
  }, [query]);

  const open = (hit: Hit | undefined): void => {
    if (!hit) return;
    closePanel();
    drawerOpen.value = false;
    if (hit.turnId) jump.value = { id: hit.id, turnId: hit.turnId, words: wordsOf(query) };
    location.hash = hrefOf(hit.id);
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && hits.length > 0) {
      event.preventDefault();
      setAt((at + step + hits.length) % hits.length);
    } else if (event.key === "Enter" && !isComposing(event)) {
      event.preventDefault();
      open(hits[at]);
    }
  };

  return (
    <div class="search">
      <input
        autofocus
        type="text"
        role="combobox"
        placeholder="Search chats"
        aria-label="Search chats"
        aria-expanded="true"
        aria-controls="hits"
        aria-activedescendant={hits[at] ? `hit-${hits[at].id}` : undefined}
        value={query}
        onInput={(event) => setQuery(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <p class="unseen" role="status">
        {found ? `${found.length} found` : ""}
      </p>
      <ul id="hits" role="listbox" aria-label="Chats found" class="hits">
        {hits.map((hit, index) => (
          <li
            key={hit.id}
            id={`hit-${hit.id}`}
            role="option"
            aria-selected={index === at}
            onMouseMove={() => setAt(index)}
            onClick={() => open(hit)}
          >
            <span class="hit-title">{hit.title}</span>
            {hit.excerpt && (
              <span class="quiet">
                {hit.excerpt.before}
                <mark>{hit.excerpt.match}</mark>
                {hit.excerpt.after}
              </span>
            )}
          </li>
        ))}
      </ul>
      {found?.length === 0 && <p class="quiet">No matches</p>}
    </div>
  );
}
