// Addresses of scripts that the page's policy (trusted types) allows a worker to have.

/** TypeScript's library does not have these types. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL: (url: string) => string },
  ): { createScriptURL: (url: string) => string };
}

/** The address, for a worker; `name` must be in the policy (vite.config.ts) and can be used once. */
export function trustedUrl(name: string, url: string): string {
  const types = (window as { trustedTypes?: TrustedTypes }).trustedTypes;
  const policy = types?.createPolicy(name, {
    createScriptURL: (asked) => {
      if (asked !== url) throw new TypeError(`not the address of ${name}`);
      return asked;
    },
  });
  return policy ? policy.createScriptURL(url) : url;
}
