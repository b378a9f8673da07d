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

/** The token of an answer to any kind of token request. */
export const accessTokenOf = async (response: Response): Promise<string> => {
  const { access_token: token } = await jsonOf(response);
  assert.ok(typeof token === "string");
  return token;
};

export const tokenOf = async (
  simulator: Simulator,
  fields: Record<string, string> = {},
  name: string = NAME,
): Promise<string> => accessTokenOf(await requestToken(simulator, fields, name));

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

const post = (path: string, simulator: Simulator, options: PostOptions): Promise<Response> => {
  const { body, token, key = "batch-1", name = NAME, contentType = "application/json" } = options;
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": contentType,
    ...(key === null ? {} : { "idempotency-key": key }),
  };
  return fetch(`${simulator.baseUrl(name)}${path}`, { method: "POST", headers, body });
};

export const postEntries = (simulator: Simulator, options: PostOptions): Promise<Response> =>
  post(ENTRIES_PATH, simulator, options);

/** Asks for a token by the password grant; `basic` is the credential before base64, null for none. */
export const requestPasswordToken = (
  simulator: Simulator,
  fields: Record<string, string> = {},
  basic: string | null = "relay:s3cret",
): Promise<Response> => {
  const form = { grant_type: "password", username: "key", password: "k3y" };
  return fetch(`${simulator.baseUrl(NAME)}/auth/token`, {
    method: "POST",
    headers: basic === null ? {} : { authorization: `Basic ${Buffer.from(basic).toString("base64")}` },
    body: new URLSearchParams({ ...form, ...fields }),
  });
};

export const requestAccessKeyToken = (simulator: Simulator, key: object | string = {}): Promise<Response> => {
  const given = { accessKeyId: "key", accessKeySecret: "k3y" };
  return fetch(`${simulator.baseUrl(NAME)}/authentication/v1/token/access-key`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof key === "string" ? key : JSON.stringify({ ...given, ...key }),
  });
};

export const adminTokenOf = async (simulator: Simulator): Promise<string> =>
  accessTokenOf(await requestAccessKeyToken(simulator));

export const SERVICES_PATH = "/incontactapi/services/v30.0";

/** `{"dncGroupRecords": […]}` of 2125550000 and on. */
export const recordsOf = (count: number, first = 0): string =>
  JSON.stringify({
    dncGroupRecords: Array.from({ length: count }, (_, index) => ({
      phoneNumber: 2_125_550_000 + first + index,
    })),
  });

export interface PostRecordsOptions extends PostOptions {
  group?: string;
}

export const postRecords = (simulator: Simulator, options: PostRecordsOptions): Promise<Response> =>
  post(`${SERVICES_PATH}/dnc-groups/${options.group ?? "7"}/records`, simulator, options);

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
