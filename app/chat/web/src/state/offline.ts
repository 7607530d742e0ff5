// Registers the service worker, with which the page opens without a connection.
import { trustedUrl } from "../trusted-url";

/** Without a service worker, such as in a private window, the page needs a connection to open. */
export function openOffline(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const url = trustedUrl("service-worker", "/service-worker.js");
  const register = () => navigator.serviceWorker.register(url).catch(() => undefined);
  // Its downloads would delay the page's own.
  if (document.readyState === "complete") register();
  else addEventListener("load", register, { once: true });
}
