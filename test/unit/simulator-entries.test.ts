import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import {
  batchOf,
  createManualClock,
  dncl,
  jsonOf,
  NAME,
  phoneOf,
  postEntries,
  received,
  startSimulator,
  tokenOf,
} from "./simulator-client.ts";

const PHONE = phoneOf(123);

const expiring = (phone: string, expirationDate: string): object => ({
  phone,
  type: "dncl_expiration",
  source: "ivr",
  expirationDate,
});

describe("simulator: entries", () => {
  test("new phones are put on the list and counted as processed", async (t) => {
    const { clock } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    const token = await tokenOf(simulator);
    const body = JSON.stringify([dncl(PHONE), expiring(phoneOf(7), "2031-01-01T00:00:00Z")]);
    const response = await postEntries(simulator, { token, body });
    assert.equal(response.status, 201);
    assert.deepEqual(await response.json(), { success: true, entriesProcessed: 2, duplicateCount: 0 });
    const requestId = response.headers.get("x-request-id") ?? "";
    assert.match(requestId, /^[0-9a-f-]{36}$/);
    const addedAt = "2030-01-01T00:00:00.000Z";
    const common = { addedAt, key: "batch-1", requestId, dncGroupIds: [], count: 1 };
    assert.deepEqual(simulator.entries(NAME), [
      { phone: PHONE, type: "dncl", source: "web", expirationDate: null, ...common },
      {
        phone: phoneOf(7),
        type: "dncl_expiration",
        source: "ivr",
        expirationDate: "2031-01-01T00:00:00Z",
        ...common,
      },
    ]);
  });

  test("phones already on the list, or twice in one body, are duplicates and counted on the list", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    await postEntries(simulator, { token, body: batchOf(3) });
    const body = JSON.stringify([dncl(phoneOf(2)), dncl(phoneOf(3)), dncl(phoneOf(3))]);
    const second = await postEntries(simulator, { token, body, key: "batch-2" });
    assert.deepEqual(await second.json(), { success: true, entriesProcessed: 1, duplicateCount: 2 });
    const counts = simulator.entries(NAME).map(({ phone, count }) => [phone, count]);
    assert.deepEqual(counts, [
      [phoneOf(0), 1],
      [phoneOf(1), 1],
      [phoneOf(2), 2],
      [phoneOf(3), 2],
    ]);
  });

  test("1 and 1,000 entries are taken; 0 and 1,001 are not", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    const statuses = [];
    for (const count of [1, 1000, 0, 1001]) {
      const response = await postEntries(simulator, { token, body: batchOf(count), key: `of-${count}` });
      statuses.push(response.status);
    }
    assert.deepEqual(statuses, [201, 201, 400, 400]);
    assert.equal(simulator.entries(NAME).length, 1000);
  });

  const invalid: [what: string, body: string][] = [
    ["bytes that are not JSON", "[{"],
    ["no body", ""],
    ["an object", JSON.stringify(dncl(PHONE))],
    ["an entry that is no object", JSON.stringify([PHONE])],
    ["a phone without +", JSON.stringify([dncl("12125550123")])],
    ["a phone with spaces", JSON.stringify([dncl("+1 212 555 0123")])],
    ["a phone that starts with 0", JSON.stringify([dncl("+0125550123")])],
    ["a phone of 16 digits", JSON.stringify([dncl("+1234567890123456")])],
    ["an unknown type", JSON.stringify([{ ...dncl(PHONE), type: "dnc" }])],
    ["no source", JSON.stringify([{ phone: PHONE, type: "dncl" }])],
    ["an empty source", JSON.stringify([{ ...dncl(PHONE), source: "" }])],
    ["a field nobody asked for", JSON.stringify([{ ...dncl(PHONE), region: "US" }])],
    [
      "dncl with an expirationDate",
      JSON.stringify([{ ...dncl(PHONE), expirationDate: "2031-01-01T00:00:00Z" }]),
    ],
    ["dncl_expiration without one", JSON.stringify([{ ...dncl(PHONE), type: "dncl_expiration" }])],
    ["an expirationDate that is no date", JSON.stringify([expiring(PHONE, "next year")])],
    ["one wrong entry after a right one", JSON.stringify([dncl(PHONE), dncl("911")])],
  ];
  for (const [what, body] of invalid) {
    test(`${what}: 400 with a reason that quotes no phone, and nothing is applied`, async (t) => {
      const simulator = await startSimulator(t);
      const response = await postEntries(simulator, { token: await tokenOf(simulator), body });
      assert.equal(response.status, 400);
      const { error, message, ...rest } = await jsonOf(response);
      assert.equal(error, "invalid_request");
      assert.ok(typeof message === "string" && message !== "");
      assert.doesNotMatch(message, /\d{4}/);
      assert.deepEqual(rest, {});
      assert.deepEqual(simulator.entries(NAME), []);
    });
  }

  test("the reason names the entry at fault and its field", async (t) => {
    const simulator = await startSimulator(t);
    const body = JSON.stringify([dncl(PHONE), dncl("911")]);
    const response = await postEntries(simulator, { token: await tokenOf(simulator), body });
    assert.equal((await jsonOf(response)).message, "entry 1: phone: must be an E.164 number");
  });

  test("a request without an Idempotency-Key, or with an endless one, is 400", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    for (const key of [null, "k".repeat(256)]) {
      const response = await postEntries(simulator, { token, body: batchOf(1), key });
      assert.equal(response.status, 400);
      assert.equal((await jsonOf(response)).error, "invalid_idempotency_key");
    }
    assert.equal(
      (await postEntries(simulator, { token, body: batchOf(1), key: "k".repeat(255) })).status,
      201,
    );
  });

  test("a content type other than JSON is 415", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    const body = batchOf(1);
    assert.equal((await postEntries(simulator, { token, body, contentType: "text/plain" })).status, 415);
    const charset = "application/json; charset=utf-8";
    assert.equal((await postEntries(simulator, { token, body, contentType: charset })).status, 201);
  });

  test("a body over 2 MiB is 413, as JSON and in the request log", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    const exact = await postEntries(simulator, { token, body: " ".repeat(2 * 1024 * 1024) });
    assert.equal(exact.status, 400);
    const response = await postEntries(simulator, {
      token,
      body: " ".repeat(2 * 1024 * 1024 + 1),
      key: "big",
    });
    assert.equal(response.status, 413);
    assert.equal((await jsonOf(response)).error, "payload_too_large");
    const { key, status, sha256 } = simulator.requests(NAME).at(-1) ?? {};
    assert.deepEqual({ key, status, sha256 }, { key: "big", status: 413, sha256: null });
  });
});

describe("simulator: idempotency", () => {
  test("a repeated key with the same bytes is answered from memory and not applied again", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    const first = await postEntries(simulator, { token, body: batchOf(2) });
    const again = await postEntries(simulator, { token, body: batchOf(2) });
    assert.equal(again.status, 201);
    assert.equal(await again.text(), await first.text());
    assert.equal(again.headers.get("x-request-id"), first.headers.get("x-request-id"));
    assert.deepEqual(
      simulator.entries(NAME).map(({ count }) => count),
      [1, 1],
    );
    const flags = simulator
      .requests(NAME)
      .filter(({ kind }) => kind === "entries")
      .map(({ replayed, applied }) => ({ replayed, applied }));
    assert.deepEqual(flags, [
      { replayed: false, applied: true },
      { replayed: true, applied: false },
    ]);
    assert.deepEqual(simulator.violations(NAME), []);
  });

  test("a repeated key with other bytes is 422 and a violation, even if the bytes mean the same", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    await postEntries(simulator, { token, body: batchOf(1) });
    const response = await postEntries(simulator, { token, body: `${batchOf(1)} ` });
    assert.equal(response.status, 422);
    assert.equal((await jsonOf(response)).error, "idempotency_key_reused");
    assert.deepEqual(simulator.violations(NAME), ["batch-1"]);
    assert.equal(simulator.entries(NAME)[0]?.count, 1);
  });

  test("a key with two bodies is a violation even if neither was taken", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { outage: "503" });
    await postEntries(simulator, { token, body: batchOf(1) });
    await postEntries(simulator, { token, body: batchOf(2) });
    await postEntries(simulator, { token, body: batchOf(2), key: "batch-2" });
    assert.deepEqual(simulator.violations(NAME), ["batch-1"]);
  });

  test("a key whose first request is in progress is 409, with other bytes 422", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { latencyMs: 60_000 });
    const first = postEntries(simulator, { token, body: batchOf(1) });
    await received(simulator, 2);
    assert.equal(simulator.requests(NAME).at(-1)?.status, null);
    const same = await postEntries(simulator, { token, body: batchOf(1) });
    assert.equal(same.status, 409);
    assert.equal((await jsonOf(same)).error, "idempotency_key_in_progress");
    assert.equal((await postEntries(simulator, { token, body: batchOf(2) })).status, 422);
    simulator.setFaults(NAME, {});
    assert.equal((await first).status, 201);
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 201);
    assert.equal(simulator.entries(NAME)[0]?.count, 1);
  });

  test("a failure is not remembered: the same key is applied when it comes again", async (t) => {
    const { clock, advance } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { errorRate: 1 });
    assert.ok((await postEntries(simulator, { token, body: batchOf(1) })).status >= 500);
    simulator.setFaults(NAME, { requestsPerSecond: 1 });
    assert.equal((await postEntries(simulator, { token, body: batchOf(1), key: "other" })).status, 201);
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 429);
    advance(1000);
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 201);
    assert.deepEqual(
      simulator.requests(NAME).map(({ applied }) => applied),
      [false, false, true, false, true],
    );
  });

  test("keys belong to one environment", async (t) => {
    const simulator = await startSimulator(t, { environments: [NAME, "us-west"] });
    for (const name of [NAME, "us-west"]) {
      const token = await tokenOf(simulator, {}, name);
      await postEntries(simulator, { token, body: batchOf(1), name });
      assert.equal(simulator.entries(name).length, 1);
    }
  });

  test("no more than memoryLimit keys and requests are remembered, the oldest forgotten first", async (t) => {
    const simulator = await startSimulator(t, { memoryLimit: 2 });
    const token = await tokenOf(simulator);
    for (const key of ["a", "b", "c", "a"]) await postEntries(simulator, { token, body: batchOf(1), key });
    assert.deepEqual(
      simulator.requests(NAME).map(({ key, replayed }) => [key, replayed]),
      [
        ["c", false],
        ["a", false],
      ],
    );
  });
});

describe("simulator: request log", () => {
  test("it holds every request with time, key, digest of the exact bytes, status and number of entries", async (t) => {
    const { clock, advance } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    const token = await tokenOf(simulator);
    advance(1500);
    const body = ` ${batchOf(3)}\n`;
    await postEntries(simulator, { token, body });
    await postEntries(simulator, { token: "made-up", body: "no", key: null });
    const flags = { replayed: false, applied: false };
    assert.deepEqual(simulator.requests(NAME), [
      {
        at: "2030-01-01T00:00:00.000Z",
        kind: "token",
        path: "/oauth/token",
        key: null,
        traceparent: null,
        sha256: null,
        status: 200,
        entries: 0,
        ...flags,
      },
      {
        at: "2030-01-01T00:00:01.500Z",
        kind: "entries",
        path: "/api/v2/compliance/dnc/entries",
        key: "batch-1",
        traceparent: null,
        sha256: createHash("sha256").update(body).digest("hex"),
        status: 201,
        entries: 3,
        replayed: false,
        applied: true,
      },
      {
        at: "2030-01-01T00:00:01.500Z",
        kind: "entries",
        path: "/api/v2/compliance/dnc/entries",
        key: null,
        traceparent: null,
        sha256: createHash("sha256").update("no").digest("hex"),
        status: 401,
        entries: 0,
        ...flags,
      },
    ]);
  });

  test("a client that leaves before the answer is status 0, with what was applied", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { latencyMs: 60_000 });
    const controller = new AbortController();
    const left = fetch(`${simulator.baseUrl(NAME)}/api/v2/compliance/dnc/entries`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "idempotency-key": "batch-1",
      },
      body: batchOf(1),
      signal: controller.signal,
    });
    await received(simulator, 2);
    controller.abort();
    await assert.rejects(left, { name: "AbortError" });
    // The closed connection reaches the server before these do.
    for (const path of ["/_sim", "/_sim"]) await (await fetch(`${simulator.url}${path}`)).text();
    simulator.setFaults(NAME, {});
    await postEntries(simulator, { token, body: batchOf(1, 1), key: "batch-2" });
    const { status, applied } = simulator.requests(NAME)[1] ?? {};
    assert.deepEqual({ status, applied }, { status: 0, applied: true });
    assert.equal(simulator.entries(NAME).length, 2);
  });
});
