import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { createSimulator } from "../../src/simulator/index.ts";
import {
  assertCut,
  batchOf,
  jsonOf,
  NAME,
  phoneOf,
  postEntries,
  received,
  startSimulator,
  tokenOf,
} from "./simulator-client.ts";

const putFaults = (url: string, body: string): Promise<Response> =>
  fetch(`${url}/_sim/${NAME}/faults`, { method: "PUT", body });

describe("simulator: _sim", () => {
  test("PUT faults replaces the set and answers with the one in force, GET shows it", async (t) => {
    const simulator = await startSimulator(t);
    const response = await putFaults(simulator.url, JSON.stringify({ errorRate: 0.25, retryAfter: 3 }));
    assert.equal(response.status, 200);
    const inForce = await response.json();
    assert.deepEqual(inForce, { ...simulator.faults(NAME) });
    const shown = await fetch(`${simulator.url}/_sim/${NAME}/faults`);
    assert.deepEqual(await shown.json(), inForce);
    await putFaults(simulator.url, "{}");
    assert.equal(simulator.faults(NAME).errorRate, 0);
    assert.equal(simulator.faults(NAME).retryAfter, undefined);
  });

  for (const [body, reason] of [
    ['{"errorRte":0.1}', /errorRte/],
    ['{"errorRate":1.1}', /errorRate/],
    ['{"latencyMs":"5"}', /latencyMs/],
    ['{"outage":"maybe"}', /outage/],
    ['{"requestsPerSecond":0}', /requestsPerSecond/],
    ['{"retryAfter":"a\\r\\nb"}', /retryAfter/],
    ['{"dncGroup":"gone"}', /dncGroup/],
    ["[]", /object/],
    ["{", /not JSON/],
  ] as const) {
    test(`PUT faults ${body} is 400 with the reason, and changes nothing`, async (t) => {
      const simulator = await startSimulator(t);
      simulator.setFaults(NAME, { latencyMs: 1 });
      const response = await putFaults(simulator.url, body);
      assert.equal(response.status, 400);
      const { error, message } = await jsonOf(response);
      assert.equal(error, "invalid_faults");
      assert.match(String(message), reason);
      assert.equal(simulator.faults(NAME).latencyMs, 1);
    });
  }

  test("GET entries and requests are what the accessors give, as an array or as NDJSON", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    for (const first of [0, 1000, 2000]) {
      await postEntries(simulator, { token, body: batchOf(1000, first), key: `from-${first}` });
    }
    for (const [path, rows] of [
      ["entries", simulator.entries(NAME)],
      ["requests", simulator.requests(NAME)],
    ] as const) {
      const array = await fetch(`${simulator.url}/_sim/${NAME}/${path}`);
      assert.match(array.headers.get("content-type") ?? "", /^application\/json/);
      assert.deepEqual(await array.json(), rows);
      const accept = { accept: "application/x-ndjson" };
      const lines = await fetch(`${simulator.url}/_sim/${NAME}/${path}`, { headers: accept });
      assert.equal(lines.headers.get("content-type"), "application/x-ndjson");
      const text = await lines.text();
      assert.ok(text.endsWith("\n"));
      const parsed = text
        .trimEnd()
        .split("\n")
        .map((line): unknown => JSON.parse(line));
      assert.deepEqual(parsed, rows);
    }
    assert.equal(simulator.entries(NAME).length, 3000);
  });

  test("GET entries of an empty list is an empty array", async (t) => {
    const simulator = await startSimulator(t);
    const response = await fetch(`${simulator.url}/_sim/${NAME}/entries`);
    assert.deepEqual(await response.json(), []);
  });

  test("GET violations lists keys that came with two bodies, and /_sim sums it all up", async (t) => {
    const simulator = await startSimulator(t, { environments: [NAME, "us-west"] });
    const token = await tokenOf(simulator);
    await postEntries(simulator, { token, body: batchOf(1) });
    await postEntries(simulator, { token, body: batchOf(2) });
    const violations = await fetch(`${simulator.url}/_sim/${NAME}/violations`);
    assert.deepEqual(await violations.json(), ["batch-1"]);
    const overview: unknown = await (await fetch(`${simulator.url}/_sim`)).json();
    const row = (name: string, entries: number, requests: number, count: number): object => ({
      name,
      baseUrl: `${simulator.url}/${name}`,
      entries,
      requests,
      violations: count,
      faults: simulator.faults(name),
    });
    assert.deepEqual(overview, [row(NAME, 1, 3, 1), row("us-west", 0, 0, 0)]);
  });

  test("DELETE /_sim forgets lists, logs, keys, tokens and faults of all environments", async (t) => {
    const simulator = await startSimulator(t, { environments: [NAME, "us-west"] });
    const token = await tokenOf(simulator);
    await postEntries(simulator, { token, body: batchOf(1) });
    await postEntries(simulator, { token, body: batchOf(2) });
    simulator.setFaults("us-west", { latencyMs: 7 });
    const response = await fetch(`${simulator.url}/_sim`, { method: "DELETE" });
    assert.equal(response.status, 204);
    assert.deepEqual(simulator.entries(NAME), []);
    assert.deepEqual(simulator.requests(NAME), []);
    assert.deepEqual(simulator.violations(NAME), []);
    assert.equal(simulator.faults("us-west").latencyMs, 0);
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 401);
    const fresh = await tokenOf(simulator);
    const again = await postEntries(simulator, { token: fresh, body: batchOf(2) });
    assert.deepEqual(await again.json(), { success: true, entriesProcessed: 2, duplicateCount: 0 });
  });

  test("a reset cuts a request in progress, which leaves nothing on the new list", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { latencyMs: 60_000 });
    const pending = assertCut(postEntries(simulator, { token, body: batchOf(1) }));
    await received(simulator, 2);
    simulator.reset();
    await pending;
    assert.deepEqual(simulator.entries(NAME), []);
  });

  test("an environment that isn't there is 404 over HTTP and an error in process", async (t) => {
    const simulator = await startSimulator(t);
    const response = await fetch(`${simulator.url}/_sim/staging/entries`);
    assert.equal(response.status, 404);
    assert.match(String((await jsonOf(response)).message), /production/);
    assert.throws(() => simulator.entries("staging"), { name: "OptoutError", message: /it has production/ });
  });
});

describe("simulator: server", () => {
  test("an unknown path is 404 as JSON, without a stack", async (t) => {
    const simulator = await startSimulator(t);
    for (const path of [`/${NAME}/nothing`, "/staging/oauth/token", `/${NAME}/oauth/token`]) {
      const response = await fetch(`${simulator.url}${path}`);
      assert.equal(response.status, 404);
      assert.deepEqual(await response.json(), { error: "not_found", message: "no such route" });
    }
  });

  test("a base URL is the simulator's URL and the environment's name, on loopback", async (t) => {
    const simulator = await startSimulator(t);
    assert.match(simulator.url, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(simulator.baseUrl(NAME), `${simulator.url}/${NAME}`);
  });

  test("names that can't be a path, come twice or are none at all are refused", async () => {
    for (const environments of [["us west"], ["_sim"], ["a/b"], [""], [NAME, NAME], []]) {
      await assert.rejects(createSimulator({ environments }), { name: "OptoutError", code: "usage" });
    }
  });

  test("a port in use is an error that names it and the way out", async (t) => {
    const simulator = await startSimulator(t);
    const port = Number(new URL(simulator.url).port);
    await assert.rejects(createSimulator({ environments: [NAME], port }), {
      name: "OptoutError",
      code: "local_stack",
      message: new RegExp(`port ${port} on 127\\.0\\.0\\.1: another process has it; .*choose another port`),
    });
  });

  test("close ends requests in progress and idle connections at once", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { latencyMs: 60_000 });
    const pending = postEntries(simulator, { token, body: batchOf(1) }).then(
      () => "ended",
      () => "ended",
    );
    await received(simulator, 2);
    const began = performance.now();
    await simulator[Symbol.asyncDispose]();
    assert.equal(await pending, "ended");
    assert.ok(performance.now() - began < 5000);
    const refused = await new Promise((resolve) => {
      connect(Number(new URL(simulator.url).port), "127.0.0.1", () => resolve("connected")).on(
        "error",
        (error: NodeJS.ErrnoException) => resolve(error.code),
      );
    });
    assert.equal(refused, "ECONNREFUSED");
  });

  test("many clients at once: every batch is applied once, whatever is cut or fails", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, {
      requestsPerSecond: 1_000_000,
      jitterMs: 3,
      errorRate: 0.2,
      dropAfterApply: 0.2,
    });
    const deliver = async (index: number): Promise<void> => {
      const request = { token, body: batchOf(50, index * 50), key: `batch-${index}` };
      for (;;) {
        const status = await postEntries(simulator, request).then(
          async (response) => {
            await response.arrayBuffer();
            return response.status;
          },
          () => 0,
        );
        if (status === 201) return;
      }
    };
    await Promise.all(Array.from({ length: 100 }, (_, index) => deliver(index)));
    const entries = simulator.entries(NAME);
    assert.equal(entries.length, 5000);
    assert.ok(entries.every(({ count }) => count === 1));
    assert.deepEqual(
      entries.map(({ phone }) => phone).sort(),
      Array.from({ length: 5000 }, (_, index) => phoneOf(index)),
    );
    const requests = simulator.requests(NAME);
    assert.equal(requests.filter(({ applied }) => applied).length, 100);
    assert.ok(requests.some(({ status }) => status === 0));
    assert.deepEqual(simulator.violations(NAME), []);
  });
});
