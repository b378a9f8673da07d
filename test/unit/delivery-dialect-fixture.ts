import assert from "node:assert/strict";
import type { EnvironmentCommon } from "../../src/config/environment-keys.ts";
import type { HttpRequest, HttpResponse, HttpSend } from "../../src/delivery/dialects/dialect.ts";

/** Milliseconds since the epoch. */
export const NOW = Date.parse("2026-03-01T12:00:00Z");

export const { signal } = new AbortController();

/** What an environment of any dialect has. */
export const COMMON: Omit<EnvironmentCommon, "baseUrl"> = {
  name: "production",
  requestsPerSecond: 100,
  maxConcurrency: 8,
  requestTimeout: 5_000,
  retry: { initialBackoff: 5, maxBackoff: 50 },
};

export const response = (
  status: number,
  body: unknown = "",
  headers: Record<string, string> = {},
): HttpResponse => ({
  status,
  header: (name) => headers[name],
  body: typeof body === "string" ? body : JSON.stringify(body),
});

/** Answers by method and path with what the routes give, in turn if they give several; the last one stays. */
export const network = (routes: Record<string, HttpResponse | readonly (HttpResponse | "cut")[]>) => {
  const requests: HttpRequest[] = [];
  const asked = new Map<string, number>();
  const send: HttpSend = async (request) => {
    requests.push(request);
    const route = `${request.method} ${request.url}`;
    const answers = routes[route];
    assert.ok(answers !== undefined, `nobody expects ${route}`);
    const list: readonly (HttpResponse | "cut")[] = "status" in answers ? [answers] : answers;
    const nth = asked.get(route) ?? 0;
    asked.set(route, nth + 1);
    const answer = list[Math.min(nth, list.length - 1)];
    if (answer === undefined || answer === "cut") throw new Error("socket hang up");
    return answer;
  };
  return { send, requests, urls: () => requests.map(({ method, url }) => `${method} ${url}`) };
};
