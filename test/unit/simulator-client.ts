import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { createSimulator, type Simulator, type SimulatorOptions } from "../../src/simulator/index.ts";

export const NAME = "production";
export const ENTRIES_PATH = "/api/v2/compliance/dnc/entries";

/** Starts a simulator that ends with the test. */
export const startSimulator = async (
  t: TestContext,
  options: Partial<SimulatorOptions> = {},
): Promise<Simulator> => {
  const simulator = await createSimulator({ environments: [NAME], ...options });
  t.after(() => simulator.close());
  return simulator;
};

export const requestToken = (
  simulator: Simulator,
  fields: Record<string, string> = {},
  name: string = NAME,
): Promise<Response> => {
  const form = {
    grant_type: "client_credentials",
    client_id: "relay",
    client_secret: "s3cret",
    scope: "dnc:write",
  };
  return fetch(`${simulator.baseUrl(name)}/oauth/token`, {
    method: "POST",
    body: new URLSearchParams({ ...form, ...fields }),
  });
};

/** Parses a JSON object, so that tests can look at its fields without trusting its type. */
export const jsonOf = async (response: Response): Promise<Record<string, unknown>> => {
  const body: unknown = await response.json();
  assert.ok(typeof body === "object" && body !== null && !Array.isArray(body));
  return { ...body };
};

export const tokenOf = async (
  simulator: Simulator,
  fields: Record<string, string> = {},
  name: string = NAME,
): Promise<string> => {
  const { access_token: token } = await jsonOf(await requestToken(simulator, fields, name));
  assert.ok(typeof token === "string");
  return token;
};

/** A valid number: +12125550000 and on. */
export const phoneOf = (index: number): string => `+1212555${String(index).padStart(4, "0")}`;

export const dncl = (phone: string): object => ({ phone, type: "dncl", source: "web" });

export const batchOf = (count: number, first = 0): string =>
  JSON.stringify(Array.from({ length: count }, (_, index) => dncl(phoneOf(first + index))));

export interface PostOptions {
  body: string;
  token: string;
  /** null sends no Idempotency-Key. */
  key?: string | null;
  name?: string;
  contentType?: string;
}

export const postEntries = (simulator: Simulator, options: PostOptions): Promise<Response> => {
  const { body, token, key = "batch-1", name = NAME, contentType = "application/json" } = options;
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": contentType,
    ...(key === null ? {} : { "idempotency-key": key }),
  };
  return fetch(`${simulator.baseUrl(name)}${ENTRIES_PATH}`, { method: "POST", headers, body });
};

/** Asserts that the connection was cut before any answer. */
export const assertCut = (request: Promise<Response>): Promise<void> =>
  assert.rejects(request, (error) => error instanceof TypeError && error.message === "fetch failed");

/** Waits until the simulator has received so many requests. */
export const received = async (simulator: Simulator, count: number): Promise<void> => {
  const deadline = Date.now() + 5000;
  while (simulator.requests(NAME).length < count) {
    assert.ok(Date.now() < deadline, `fewer than ${count} requests came`);
    await new Promise((resolve) => setImmediate(resolve));
  }
};

/** A clock that stands still until it is moved. */
export const createManualClock = (): { clock: () => number; advance(ms: number): void } => {
  let now = Date.parse("2030-01-01T00:00:00.000Z");
  return {
    clock: () => now,
    advance: (ms) => {
      now += ms;
    },
  };
};
