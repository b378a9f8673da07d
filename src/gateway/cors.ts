import type { IncomingHttpHeaders } from "node:http";

/** Seconds a browser may go without asking again. */
const MAX_AGE = "600";

export interface Cors {
  /**
   * Whether a request may come from a web page that isn't among the origins. Pages can post forms anywhere without asking
   * first; browsers then say in `Sec-Fetch-Site` or `Origin` where it comes from. Pages of the `host` that the request
   * is for are no strangers, nor is what doesn't come from a page.
   */
  isForeign(headers: IncomingHttpHeaders, host: string): boolean;
  /** The headers that let a page of that origin read an answer; none if it may not. */
  headersFor(origin: string | undefined): Record<string, string>;
  /** The headers that allow a page of that origin its request; undefined if it may not. */
  preflight(origin: string | undefined): Record<string, string> | undefined;
}

/** The Fetch standard's CORS protocol for `gateway.cors.origins`. Credentials (cookies) are never allowed: none are used. */
export function createCors(origins: readonly string[]): Cors {
  const any = origins.includes("*");

  const headersFor = (origin: string | undefined): Record<string, string> => {
    if (origins.length === 0) return {};
    if (any) return { "access-control-allow-origin": "*" };
    // Also when it is refused: a cache must not give one origin's answer to another.
    const vary = { vary: "Origin" };
    if (origin === undefined || !origins.includes(origin)) return vary;
    return { ...vary, "access-control-allow-origin": origin };
  };

  return {
    isForeign(headers, host) {
      const { origin, "sec-fetch-site": site } = headers;
      if (any || (origin !== undefined && origins.includes(origin))) return false;
      // What browsers say of the site holds behind a proxy too, which may change the host.
      if (site !== undefined) return site !== "same-origin" && site !== "none";
      return origin !== undefined && hostOf(origin) !== host.toLowerCase();
    },
    headersFor: (origin) => {
      const headers = headersFor(origin);
      if (headers["access-control-allow-origin"] === undefined) return headers;
      return { ...headers, "access-control-expose-headers": "Retry-After" };
    },
    preflight(origin) {
      const headers = headersFor(origin);
      if (headers["access-control-allow-origin"] === undefined) return undefined;
      return {
        ...headers,
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, X-API-Key",
        "access-control-max-age": MAX_AGE,
      };
    },
  };
}

/** As in a Host header; undefined for the "null" of pages that hide where they come from. */
const hostOf = (origin: string): string | undefined =>
  URL.canParse(origin) ? new URL(origin).host : undefined;
