import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  assertCut,
  batchOf,
  createManualClock,
  jsonOf,
  NAME,
  phoneOf,
  postEntries,
  received,
  requestToken,
  startSimulator,
  tokenOf,
} from "./simulator-client.ts";

/** Gives these numbers in turn, and then 0.5 for ever. */
const sequence = (...numbers: number[]): (() => number) => {
  const left = [...numbers];
  return () => left.shift() ?? 0.5;
};

describe("simulator: quota", () => {
  test("a second's worth of requests may come at once, the next is 429 with the seconds to wait", async (t) => {
    const { clock, advance } = createManualClock();
    const simulator = await startSimulator(t, {
      clock,
      environments: [{ name: NAME, requestsPerSecond: 3 }],
    });
    const token = await tokenOf(simulator);
    const send = (): Promise<Response> => postEntries(simulator, { token, body: batchOf(1) });
    const burst = [await send(), await send(), await send(), await send()];
    assert.deepEqual(
      burst.map(({ status }) => status),
      [201, 201, 201, 429],
    );
    assert.equal(burst.at(-1)?.headers.get("retry-after"), "1");
    advance(333);
    assert.equal((await send()).status, 429);
    advance(1);
    assert.equal((await send()).status, 201);
    assert.equal((await send()).status, 429);
    advance(10_000);
    const later = [await send(), await send(), await send(), await send()];
    assert.deepEqual(
      later.map(({ status }) => status),
      [201, 201, 201, 429],
    );
  });

  test("the default quota is 100 requests per second", async (t) => {
    const { clock } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    const token = await tokenOf(simulator);
    const statuses = [];
    for (let sent = 0; sent < 101; sent += 1) {
      statuses.push((await postEntries(simulator, { token, body: batchOf(1) })).status);
    }
    assert.deepEqual(statuses, [...Array.from({ length: 100 }, () => 201), 429]);
  });

  test("a quota under one per second says how long to wait", async (t) => {
    const { clock } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { requestsPerSecond: 0.2 });
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 201);
    const response = await postEntries(simulator, { token, body: batchOf(1) });
    assert.equal(response.headers.get("retry-after"), "5");
  });

  test("token requests don't count against the quota", async (t) => {
    const { clock } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    simulator.setFaults(NAME, { requestsPerSecond: 1 });
    await tokenOf(simulator);
    const token = await tokenOf(simulator);
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 201);
  });

  for (const [retryAfter, sent] of [
    [7, "7"],
    ["Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT"],
    ["soon, I promise", "soon, I promise"],
    [-1, "-1"],
    [null, null],
  ] as const) {
    test(`retryAfter ${JSON.stringify(retryAfter)} is sent as it is with 429 and 503`, async (t) => {
      const { clock } = createManualClock();
      const simulator = await startSimulator(t, { clock });
      const token = await tokenOf(simulator);
      simulator.setFaults(NAME, { requestsPerSecond: 1, retryAfter });
      await postEntries(simulator, { token, body: batchOf(1) });
      const limited = await postEntries(simulator, { token, body: batchOf(1) });
      assert.equal(limited.status, 429);
      assert.equal(limited.headers.get("retry-after"), sent);
      simulator.setFaults(NAME, { outage: "503", retryAfter });
      const down = await postEntries(simulator, { token, body: batchOf(1) });
      assert.equal(down.status, 503);
      assert.equal(down.headers.get("retry-after"), sent);
    });
  }
});

describe("simulator: faults", () => {
  test("latencyMs and jitterMs delay the answers to tokens and entries", async (t) => {
    const simulator = await startSimulator(t, { random: () => 0.5 });
    simulator.setFaults(NAME, { latencyMs: 60, jitterMs: 80 });
    const began = performance.now();
    const token = await tokenOf(simulator);
    const between = performance.now();
    await postEntries(simulator, { token, body: batchOf(1) });
    const ended = performance.now();
    // Node's timers may fire a millisecond early.
    assert.ok(between - began >= 98, `${between - began} ms`);
    assert.ok(ended - between >= 98, `${ended - between} ms`);
  });

  test("new faults end the waits under the old ones", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { latencyMs: 60_000 });
    const pending = postEntries(simulator, { token, body: batchOf(1) });
    await received(simulator, 2);
    simulator.setFaults(NAME, { rejectPhones: [phoneOf(0)] });
    assert.equal((await pending).status, 422);
  });

  test("errorRate answers its share of requests 503 or 500, and applies nothing", async (t) => {
    const random = sequence(0.29, 0.1, 0.29, 0.9, 0.3);
    const simulator = await startSimulator(t, { random });
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { errorRate: 0.3 });
    const statuses = [];
    for (let sent = 0; sent < 3; sent += 1) {
      const response = await postEntries(simulator, { token, body: batchOf(1) });
      statuses.push(response.status);
      if (response.status !== 201) assert.deepEqual(simulator.entries(NAME), []);
    }
    assert.deepEqual(statuses, [503, 500, 201]);
  });

  test("dropAfterApply applies the batch, remembers the key and cuts the connection", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { dropAfterApply: true });
    await assertCut(postEntries(simulator, { token, body: batchOf(2) }));
    assert.equal(simulator.entries(NAME).length, 2);
    const again = await postEntries(simulator, { token, body: batchOf(2) });
    assert.deepEqual(await again.json(), { success: true, entriesProcessed: 2, duplicateCount: 0 });
    const log = simulator.requests(NAME).slice(1);
    assert.deepEqual(
      log.map(({ status, applied, replayed, entries }) => ({ status, applied, replayed, entries })),
      [
        { status: 0, applied: true, replayed: false, entries: 2 },
        { status: 201, applied: false, replayed: true, entries: 2 },
      ],
    );
    assert.equal(log[0]?.sha256, log[1]?.sha256);
  });

  test("dropAfterApply as a number is a probability", async (t) => {
    const simulator = await startSimulator(t, { random: sequence(0.2, 0.19) });
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { dropAfterApply: 0.2 });
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 201);
    await assertCut(postEntries(simulator, { token, body: batchOf(1), key: "batch-2" }));
  });

  test("an outage cuts every request at once, tokens too, and logs it with status 0", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { outage: true, latencyMs: 60_000 });
    await assertCut(postEntries(simulator, { token, body: batchOf(1) }));
    await assertCut(requestToken(simulator));
    assert.deepEqual(
      simulator.requests(NAME).map(({ kind, key, status, applied }) => [kind, key, status, applied]),
      [
        ["token", null, 200, false],
        ["entries", "batch-1", 0, false],
        ["token", null, 0, false],
      ],
    );
    simulator.setFaults(NAME, {});
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 201);
  });

  test("an outage cuts what is in progress without applying it", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { latencyMs: 60_000 });
    const pending = assertCut(postEntries(simulator, { token, body: batchOf(1) }));
    await received(simulator, 2);
    simulator.setFaults(NAME, { outage: true });
    await pending;
    assert.deepEqual(simulator.entries(NAME), []);
    simulator.setFaults(NAME, {});
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 201);
  });

  test('an outage of the kind "503" answers so, tokens too', async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { outage: "503" });
    const response = await postEntries(simulator, { token, body: batchOf(2) });
    assert.equal(response.status, 503);
    assert.equal((await jsonOf(response)).error, "unavailable");
    assert.equal(response.headers.get("retry-after"), null);
    assert.equal((await requestToken(simulator)).status, 503);
    assert.equal(simulator.requests(NAME)[1]?.entries, 2);
    assert.deepEqual(simulator.entries(NAME), []);
  });

  test("an outage of one environment leaves the others alone", async (t) => {
    const simulator = await startSimulator(t, { environments: [NAME, "us-west"] });
    simulator.setFaults(NAME, { outage: true });
    const token = await tokenOf(simulator, {}, "us-west");
    assert.equal((await postEntries(simulator, { token, body: batchOf(1), name: "us-west" })).status, 201);
  });

  test("rejectPhones refuses the whole request with 422, naming nothing but the index", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { rejectPhones: [phoneOf(2)] });
    const response = await postEntries(simulator, { token, body: batchOf(4) });
    assert.equal(response.status, 422);
    assert.deepEqual(await response.json(), {
      error: "entry_refused",
      message: "entry 2 is refused",
      index: 2,
    });
    assert.deepEqual(simulator.entries(NAME), []);
    assert.equal((await postEntries(simulator, { token, body: batchOf(2), key: "half" })).status, 201);
    simulator.setFaults(NAME, {});
    assert.equal((await postEntries(simulator, { token, body: batchOf(4) })).status, 201);
  });

  for (const [shortAck, taken] of [
    [true, 3],
    [3, 1],
    [1000, 0],
  ] as const) {
    test(`shortAck ${shortAck} answers 201, but takes and counts only ${taken} of 4 entries`, async (t) => {
      const simulator = await startSimulator(t);
      const token = await tokenOf(simulator);
      simulator.setFaults(NAME, { shortAck });
      const response = await postEntries(simulator, { token, body: batchOf(4) });
      assert.equal(response.status, 201);
      assert.deepEqual(await response.json(), {
        success: true,
        entriesProcessed: taken,
        duplicateCount: 0,
      });
      const phones = Array.from({ length: taken }, (_, index) => phoneOf(index));
      assert.deepEqual(
        simulator.entries(NAME).map(({ phone }) => phone),
        phones,
      );
      assert.equal(simulator.requests(NAME).at(-1)?.applied, taken > 0);
    });
  }

  test("a short acknowledgement is not remembered: the same request is whole once the fault is gone", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { shortAck: true });
    await postEntries(simulator, { token, body: batchOf(2) });
    simulator.setFaults(NAME, {});
    const whole = await postEntries(simulator, { token, body: batchOf(2) });
    assert.deepEqual(await whole.json(), { success: true, entriesProcessed: 1, duplicateCount: 1 });
    assert.equal(simulator.requests(NAME).at(-1)?.replayed, false);
  });

  test("a short acknowledgement stays short when the entries taken are duplicates", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    await postEntries(simulator, { token, body: batchOf(3) });
    simulator.setFaults(NAME, { shortAck: true });
    const response = await postEntries(simulator, { token, body: batchOf(4), key: "batch-2" });
    assert.deepEqual(await response.json(), { success: true, entriesProcessed: 0, duplicateCount: 3 });
  });

  test("rejectPhones that aren't E.164 would never match, so they are refused", async (t) => {
    const simulator = await startSimulator(t);
    for (const phone of ["(212) 555-0123", "12125550123", "+0123456789", ""]) {
      const response = await fetch(`${simulator.url}/_sim/${NAME}/faults`, {
        method: "PUT",
        body: JSON.stringify({ rejectPhones: [phoneOf(0), phone] }),
      });
      assert.equal(response.status, 400);
      assert.match(String((await jsonOf(response)).message), /rejectPhones: 1: must be E\.164, such as "\+1/);
    }
    assert.deepEqual(simulator.faults(NAME).rejectPhones, []);
  });

  test("setting faults replaces the whole set", async (t) => {
    const simulator = await startSimulator(t);
    simulator.setFaults(NAME, { latencyMs: 5, tokenTtlSeconds: 60 });
    simulator.setFaults(NAME, { errorRate: 0.5 });
    assert.deepEqual(simulator.faults(NAME), {
      latencyMs: 0,
      jitterMs: 0,
      errorRate: 0.5,
      dropAfterApply: false,
      outage: false,
      rejectPhones: [],
      duplicates: "stronger",
      shortAck: false,
      tokenTtlSeconds: 3600,
      requestsPerSecond: 100,
    });
  });

  test("wrong faults are refused in process, and the old ones stay", async (t) => {
    const simulator = await startSimulator(t);
    simulator.setFaults(NAME, { latencyMs: 5 });
    assert.throws(() => simulator.setFaults(NAME, { errorRate: 2 }), { name: "OptoutError", code: "usage" });
    assert.equal(simulator.faults(NAME).latencyMs, 5);
  });
});
