// How the page is bundled, served while it is worked on, and unit-tested.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import type { Plugin, ResolvedConfig, Rolldown } from "vite";
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
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types dompurify pdf-worker service-worker",
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

/** The page itself, and what renders its stored chats. */
const isShell = ({ isEntry, name }: Rolldown.OutputChunk): boolean => isEntry || name === "renderer";

/** Writes into the service worker which files the page needs to open without a connection. */
const offlineShell: Plugin = {
  name: "offline-shell",
  apply: "build",
  enforce: "post",
  generateBundle(_, bundle) {
    const needed = Object.values(bundle).flatMap((file) => {
      if (file.type === "chunk") return isShell(file) ? [file.fileName, ...file.imports] : [];
      return file.fileName.endsWith(".css") && /\/index-/.test(file.fileName) ? [file.fileName] : [];
    });
    const files = ["/", "/theme.js", "/favicon.svg", ...[...new Set(needed)].sort().map((name) => `/${name}`)];
    const source = readFileSync(fileURLToPath(new URL("./src/service-worker.js", import.meta.url)), "utf8");
    const version = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 12);
    const written = source.replace("__FILES__", JSON.stringify(files)).replace("__VERSION__", version);
    this.emitFile({ type: "asset", fileName: "service-worker.js", source: written });
  },
};

const COMPRESSIBLE = new Set([".bcmap", ".css", ".html", ".js", ".mjs", ".svg", ".webmanifest"]);
/** Smaller files fit into one packet as they are. */
const LEAST_TO_COMPRESS = 1000;
let resolved: ResolvedConfig;

/** Writes each file compressed beside it, for the gateway to send (app/chat/api/page.py). */
const compressed: Plugin = {
  name: "compressed",
  apply: "build",
  configResolved: (config) => {
    resolved = config;
  },
  closeBundle() {
    const folder = join(resolved.root, resolved.build.outDir);
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (!entry.isFile() || !COMPRESSIBLE.has(extname(path))) continue;
      const content = readFileSync(path);
      if (content.length < LEAST_TO_COMPRESS) continue;
      writeFileSync(`${path}.br`, brotliCompressSync(content));
      writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
    }
  },
};

const gateway = process.env.GATEWAY_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [onlyWoff2, ownPolicy, characterMaps, mermaid, offlineShell, compressed],
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
