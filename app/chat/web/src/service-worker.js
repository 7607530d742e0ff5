// The service worker: opens the page without a connection. It stores the page's own files, and never a
// response of the API.
// The build writes both (vite.config.ts).
const FILES = __FILES__;
const CACHE = "page-__VERSION__";

self.addEventListener("install", (event) => {
  event.waitUntil(store().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(deleteEarlier().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin) return;
  if (request.mode === "navigate" && pathname === "/") event.respondWith(fromNetwork(request, "/"));
  // The names of these files contain a hash of their content.
  else if (pathname.startsWith("/assets/")) event.respondWith(fromCache(request));
  else if (FILES.includes(pathname)) event.respondWith(fromNetwork(request, pathname));
});

async function store() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES);
}

async function deleteEarlier() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
}

/** The current file, or the stored one where the server cannot be reached. */
async function fromNetwork(request, path) {
  try {
    return await fetch(request);
  } catch (error) {
    const stored = await caches.match(path);
    if (stored) return stored;
    throw error;
  }
}

async function fromCache(request) {
  const stored = await caches.match(request);
  if (stored) return stored;
  const response = await fetch(request);
  if (response.ok && response.type === "basic") {
    const cache = await caches.open(CACHE);
    await cache.put(request, response.clone());
  }
  return response;
}
