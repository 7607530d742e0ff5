// Changes nodes into others in place: equal ones stay, with what is selected, opened or scrolled in them.
import { texOf } from "./decorate";

/**
 * Turns `from`, the last children of the parent, into `to`; returns the children that have taken their
 * place.
 */
export function patch(parent: Node, from: Node[], to: Node[]): Node[] {
  const kept = to.map((fresh, at) => {
    const old = from[at];
    if (!old) return parent.appendChild(fresh);
    if (!turn(old, fresh)) parent.replaceChild(fresh, old);
    return fresh.parentNode === parent ? fresh : old;
  });
  for (const old of from.slice(to.length)) parent.removeChild(old);
  return kept;
}

/** Whether the old node could take the content of the fresh one. */
function turn(old: Node, fresh: Node): boolean {
  if (old instanceof Text && fresh instanceof Text) {
    if (fresh.data.startsWith(old.data)) old.appendData(fresh.data.slice(old.data.length));
    else old.data = fresh.data;
    return true;
  }
  if (!(old instanceof HTMLElement && fresh instanceof HTMLElement && alike(old, fresh))) return false;
  if (old.classList.contains("math")) return texOf(old) === texOf(fresh);
  patch(old, [...old.childNodes], [...fresh.childNodes]);
  return true;
}

/** `open` is the user's: the sanitiser removes it. */
function alike(old: HTMLElement, fresh: HTMLElement): boolean {
  const count = old.attributes.length - Number(old.hasAttribute("open"));
  return (
    old.tagName === fresh.tagName &&
    count === fresh.attributes.length &&
    [...fresh.attributes].every(({ name, value }) => old.getAttribute(name) === value)
  );
}
