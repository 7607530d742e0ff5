// Refreshes the page in place, shows times in the reader's time zone, and makes the bars readable
// by keyboard and touch. The page is complete without it.
"use strict";

const REFRESH_MS = 30_000;
const FORMS = {
  full: { dateStyle: "medium", timeStyle: "medium" },
  minute: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  time: { timeStyle: "medium" },
  // A bar of the 90 days is a day in UTC.
  day: { day: "numeric", month: "short", timeZone: "UTC" },
};
const formats = Object.fromEntries(
  Object.entries(FORMS).map(([form, options]) => [form, new Intl.DateTimeFormat(undefined, options)]),
);

const local = (iso, form) => formats[form].format(new Date(iso));

const textOf = ({ dataset: { form, first, last, text } }) =>
  `${local(first, form)}${last ? ` to ${local(last, form)}` : ""}: ${text}`;

/** Shows the times below an element in the reader's time zone, and opens its bars to the keyboard. */
function prepare(root) {
  for (const time of root.querySelectorAll("time")) {
    time.title = `${time.dateTime.replace("T", " ").replace("Z", "")} UTC`;
    time.textContent = local(time.dateTime, time.dataset.form);
  }
  for (const chart of root.querySelectorAll(".bars svg")) {
    const lines = [...chart.querySelectorAll("line")];
    for (const line of lines) line.querySelector("title").textContent = textOf(line);
    if (lines.length === 0) continue;
    const newest = lines.length - 1;
    setAttributes(chart, {
      role: "slider",
      tabindex: 0,
      "aria-valuemin": 0,
      "aria-valuemax": newest,
      "aria-valuenow": newest,
      "aria-valuetext": textOf(lines[newest]),
    });
  }
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}

/** By chart: the place of the period that is shown below it. */
const shown = new Map();

function show(chart, place) {
  const lines = [...chart.querySelectorAll("line")];
  const chosen = Math.max(0, Math.min(place, lines.length - 1));
  for (const [index, line] of lines.entries()) line.classList.toggle("chosen", index === chosen);
  const text = textOf(lines[chosen]);
  setAttributes(chart, { "aria-valuenow": chosen, "aria-valuetext": text });
  chart.parentElement.querySelector(".readout").textContent = text;
  shown.set(chart, chosen);
}

function hide(chart) {
  chart.querySelector(".chosen")?.classList.remove("chosen");
  chart.parentElement.querySelector(".readout").textContent = "";
  shown.delete(chart);
}

const chartOf = (event) => event.target.closest?.(".bars svg");

const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -Infinity, End: Infinity };

document.addEventListener("keydown", (event) => {
  const chart = chartOf(event);
  if (!chart || !(event.key in STEPS)) return;
  event.preventDefault();
  show(chart, Number(chart.getAttribute("aria-valuenow")) + STEPS[event.key]);
});

document.addEventListener("focusin", (event) => {
  const chart = chartOf(event);
  if (chart && !shown.has(chart)) show(chart, Number(chart.getAttribute("aria-valuenow")));
});

document.addEventListener("focusout", (event) => {
  const chart = chartOf(event);
  if (chart) hide(chart);
});

/** Shows the period under the pointer, from its position: a finger does not hit a thin line. */
function point(event) {
  const chart = chartOf(event);
  if (!chart) return;
  const box = chart.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
  const place = [...chart.querySelectorAll("line")].findIndex((line) => x < line.x2.baseVal.value);
  show(chart, place < 0 ? Infinity : place);
}

document.addEventListener("pointermove", point);
document.addEventListener("pointerdown", point);
document.addEventListener("pointerout", (event) => {
  const chart = chartOf(event);
  const left = event.pointerType === "mouse" && !chart?.contains(event.relatedTarget);
  if (chart && left && document.activeElement !== chart) hide(chart);
});

/** Changes an element into another, and keeps every node that is in both: focus, selection, scroll
 * position and open details stay. */
function change(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const named = new Map([...old.children].filter((node) => node.id).map((node) => [node.id, node]));
  let next = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const match = node.id ? named.get(node.id) : next && isAlike(next, node) ? next : undefined;
    if (!match) {
      old.insertBefore(node, next);
      continue;
    }
    if (match === next) next = next.nextSibling;
    else old.insertBefore(match, next);
    if (match.nodeType === Node.ELEMENT_NODE) change(match, node);
    else if (match.nodeValue !== node.nodeValue) match.nodeValue = node.nodeValue;
  }
  while (next) {
    const last = next;
    next = next.nextSibling;
    last.remove();
  }
}

const isAlike = (one, other) => !one.id && one.nodeName === other.nodeName;

function replacePage(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const focused = document.activeElement;
  prepare(fresh);
  document.title = fresh.title;
  change(document.querySelector("main"), fresh.querySelector("main"));
  change(document.querySelector("#updated"), fresh.querySelector("#updated"));
  for (const [chart, place] of [...shown]) {
    if (chart.isConnected && chart.getAttribute("role") === "slider") show(chart, place);
    else shown.delete(chart);
  }
  // A service whose state changed is moved, which takes the focus from it.
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

const trouble = document.querySelector("#trouble");
let refreshedAt = Date.now();
let running = false;

async function refresh() {
  if (running || document.hidden || Date.now() - refreshedAt < REFRESH_MS) return;
  running = true;
  try {
    const response = await fetch(location.href, { redirect: "manual", signal: AbortSignal.timeout(10_000) });
    if (response.type === "opaqueredirect") {
      trouble.textContent = "Your session has ended. Reload this page to sign in.";
    } else if (response.ok) {
      replacePage(await response.text());
      trouble.textContent = "";
    } else if (response.status === 404) {
      trouble.textContent = "This service was removed or renamed.";
    } else {
      trouble.textContent = `The monitor returned an error (${response.status}). Trying again…`;
    }
  } catch {
    trouble.textContent = "Can't reach the monitor. Trying again…";
  } finally {
    refreshedAt = Date.now();
    running = false;
  }
}

prepare(document);
document.documentElement.classList.add("has-script");
setInterval(refresh, 1000);
document.addEventListener("visibilitychange", refresh);
