// How the page is bundled, served while it is worked on, and unit-tested.
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Browsers that can run this page take woff2: KaTeX's other font formats would only make the image larger. */
const onlyWoff2: Plugin = {
  name: "only-woff2",
  enforce: "pre",
  transform: {
    filter: { id: /katex(\.min)?\.css$/ },
    handler: (code) => code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\("[^"]*"\)/g, ""),
  },
};

/**
 * The page's own Content Security Policy: nothing inline, no other host, and markup enters the document
 * through the sanitiser only. (`frame-ancestors` works in the response header only, which the gateway
 * sets.) The policy would block scripts of the development server, so only the build has it.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  // Attached images are shown from memory.
  "img-src 'self' blob:",
  "font-src 'self'",
  "frame-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types dompurify pdf-worker",
].join("; ");

const ownPolicy: Plugin = {
  name: "own-policy",
  apply: "build",
  transformIndexHtml: () => [
    {
      tag: "meta",
      attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
      injectTo: "head-prepend",
    },
  ],
};

/** Tables with which pdf.js reads Chinese, Japanese and Korean PDFs. */
const characterMaps: Plugin = {
  name: "character-maps",
  apply: "build",
  generateBundle() {
    const folder = fileURLToPath(new URL("./node_modules/pdfjs-dist/cmaps/", import.meta.url));
    for (const name of readdirSync(folder).filter((one) => one.endsWith(".bcmap"))) {
      this.emitFile({ type: "asset", fileName: `pdf-cmaps/${name}`, source: readFileSync(folder + name) });
    }
  },
};

/** Mermaid for the frame that draws diagrams; it is loaded with the first diagram. */
const mermaid: Plugin = {
  name: "mermaid",
  apply: "build",
  generateBundle() {
    const file = fileURLToPath(new URL("./node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js", import.meta.url));
    this.emitFile({ type: "asset", fileName: "diagrams/mermaid.js", source: readFileSync(file) });
  },
};

const gateway = process.env.GATEWAY_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [onlyWoff2, ownPolicy, characterMaps, mermaid],
  build: {
    target: "es2022",
    // The gateway's policy allows no inline data, and browsers of this age need no polyfill.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { proxy: { "/v1": gateway, "/status": gateway } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
