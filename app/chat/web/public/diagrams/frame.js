// Draws Mermaid diagrams in a frame without an origin: Mermaid needs inline styles, which the page's policy forbids.
// The frame cannot reach the page, its storage or the network; it returns the SVG, which the page shows as an image.
const { mermaid } = globalThis;

const LIMITS = { maxTextSize: 20_000, maxEdges: 400 };
const MAX_SVG = 2_000_000;

async function draw(text, dark) {
  mermaid.initialize({
    ...LIMITS,
    startOnLoad: false,
    securityLevel: "strict",
    suppressErrorRendering: true,
    // Labels as HTML are not drawn in images.
    htmlLabels: false,
    flowchart: { htmlLabels: false },
    fontFamily: "system-ui, sans-serif",
    theme: dark ? "dark" : "neutral",
  });
  const { svg } = await mermaid.render("diagram", text);
  document.body.innerHTML = svg;
  const drawing = document.body.firstElementChild;
  const { width, height } = drawing.viewBox.baseVal;
  // An image has no size of its own without these.
  drawing.setAttribute("width", String(width));
  drawing.setAttribute("height", String(height));
  const source = new XMLSerializer().serializeToString(drawing);
  document.body.replaceChildren();
  if (source.length > MAX_SVG || !(width > 0 && height > 0)) throw new Error("the diagram is too large");
  return { svg: source, width, height };
}

let last = Promise.resolve();

addEventListener("message", ({ source, data }) => {
  if (source !== parent) return;
  const { id, text, dark } = data;
  // One after the other: Mermaid has one configuration for all.
  last = last.then(async () => {
    let result;
    try {
      result = await draw(text, dark);
    } catch (error) {
      document.body.replaceChildren();
      result = { error: String(error) };
    }
    parent.postMessage({ id, ...result }, "*");
  });
});

parent.postMessage({ ready: typeof mermaid === "object" }, "*");
