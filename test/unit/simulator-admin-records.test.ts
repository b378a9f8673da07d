import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import {
  adminTokenOf,
  assertCut,
  batchOf,
  createManualClock,
  jsonOf,
  NAME,
  phoneOf,
  postEntries,
  postRecords,
  received,
  recordsOf,
  SERVICES_PATH,
  startSimulator,
  tokenOf,
} from "./simulator-client.ts";

const taken = (formattedPhone: string): object => ({ success: true, error: null, formattedPhone });
const failed = (error: string): object => ({ success: false, error, formattedPhone: null });

const bodyOf = (...dncGroupRecords: unknown[]): string => JSON.stringify({ dncGroupRecords });

const setOf = (errorCount: number, ...recordResults: object[]): object => ({
  resultSet: { errorCount, recordResults },
});

/** The errors of an answer's text, in order. */
const reasonsOf = (text: string): string[] =>
  Array.from(text.matchAll(/"error":("(?:[^"\\]|\\.)+")/g), ([, error = ""]): string => JSON.parse(error));

describe("simulator: admin-dnc-groups records", () => {
  test("numbers come on the list as E.164, 10 digits as North American ones", async (t) => {
    const { clock } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    const token = await adminTokenOf(simulator);
    const expiredDate = "2031-01-01T00:00:00Z";
    const body = bodyOf(
      { phoneNumber: 4_155_552_671 },
      { phoneNumber: 442_071_838_750, expiredDate },
      { phoneNumber: 12_125_550_123, expiredDate: null },
    );
    const response = await postRecords(simulator, { token, body, key: null });
    assert.equal(response.status, 200);
    assert.deepEqual(
      await response.json(),
      setOf(0, taken("(415) 555-2671"), taken("+442071838750"), taken("(212) 555-0123")),
    );
    const requestId = response.headers.get("x-request-id");
    const origin = {
      source: null,
      addedAt: "2030-01-01T00:00:00.000Z",
      key: null,
      requestId,
      dncGroupIds: [7],
      count: 1,
    };
    assert.deepEqual(simulator.entries(NAME), [
      { phone: "+14155552671", type: "dncl", expirationDate: null, ...origin },
      { phone: "+442071838750", type: "dncl_expiration", expirationDate: expiredDate, ...origin },
      { phone: phoneOf(123), type: "dncl", expirationDate: null, ...origin },
    ]);
  });

  test("both dialects put a number on the same list", async (t) => {
    const simulator = await startSimulator(t);
    const token = await adminTokenOf(simulator);
    await postEntries(simulator, { token, body: batchOf(2) });
    await postRecords(simulator, { token, body: recordsOf(2, 1), key: "batch-2" });
    assert.deepEqual(
      simulator.entries(NAME).map(({ phone, count, key }) => [phone, count, key]),
      [
        [phoneOf(0), 1, "batch-1"],
        [phoneOf(1), 2, "batch-1"],
        [phoneOf(2), 1, "batch-2"],
      ],
    );
  });

  test("a record that is wrong fails alone, with a reason that quotes no number", async (t) => {
    const simulator = await startSimulator(t);
    const wrong = [
      { phoneNumber: "2125550123" },
      { phoneNumber: 2_125_550_123.5 },
      { phoneNumber: -2_125_550_123 },
      { phoneNumber: 0 },
      { phoneNumber: 1_000_000_000_000_000 },
      {},
      2_125_550_123,
      null,
      { phoneNumber: 2_125_550_123, expiredDate: "next year" },
      { phoneNumber: 2_125_550_123, source: "web" },
    ];
    const body = bodyOf(...wrong, { phoneNumber: 2_125_550_000 });
    const response = await postRecords(simulator, { token: await adminTokenOf(simulator), body });
    assert.equal(response.status, 200);
    const text = await response.text();
    assert.doesNotMatch(text, /2125550123/);
    const reasons = reasonsOf(text);
    const beginnings = reasons.map((reason) => reason.split(":", 1)[0]);
    assert.deepEqual(beginnings, [
      ...Array.from({ length: 6 }, () => "phoneNumber"),
      "Invalid input",
      "Invalid input",
      "expiredDate",
      "Unrecognized key",
    ]);
    const results = [...reasons.map(failed), taken("(212) 555-0000")];
    assert.deepEqual(JSON.parse(text), setOf(wrong.length, ...results));
    assert.deepEqual(
      simulator.entries(NAME).map(({ phone }) => phone),
      [phoneOf(0)],
    );
    const { entries, applied } = simulator.requests(NAME).at(-1) ?? {};
    assert.deepEqual({ entries, applied }, { entries: wrong.length + 1, applied: true });
  });

  test("1 and 100 records are taken; 0, 101 and a body of another shape are 400", async (t) => {
    const simulator = await startSimulator(t);
    const token = await adminTokenOf(simulator);
    const statuses = [];
    for (const body of [recordsOf(1), recordsOf(100), recordsOf(0), recordsOf(101), "{", "", "[]", "{}"]) {
      statuses.push((await postRecords(simulator, { token, body, key: null })).status);
    }
    assert.deepEqual(statuses, [200, 200, 400, 400, 400, 400, 400, 400]);
    assert.equal(simulator.entries(NAME).length, 100);
    assert.deepEqual(
      simulator.requests(NAME).map(({ entries }) => entries),
      [0, 1, 100, 0, 101, 0, 0, 0, 0],
    );
  });

  test("versions have one or two digits and groups are whole numbers; all else is no route", async (t) => {
    const simulator = await startSimulator(t);
    const token = await adminTokenOf(simulator);
    const statusOf = async (path: string): Promise<number> => {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const url = `${simulator.baseUrl(NAME)}/incontactapi/services/${path}/records`;
      return (await fetch(url, { method: "POST", headers, body: recordsOf(1) })).status;
    };
    const statuses = [];
    for (const path of ["v12.0", "v34.0", "v30", "30.0", "v30.1", "v130.0"]) {
      statuses.push(await statusOf(`${path}/dnc-groups/7`));
    }
    for (const group of ["7a", "-7", "search"]) statuses.push(await statusOf(`v30.0/dnc-groups/${group}`));
    assert.deepEqual(statuses, [200, 200, 404, 404, 404, 404, 404, 404, 404]);
  });

  test("a repeated key is no reason to answer from memory; with other bytes it is a violation", async (t) => {
    const simulator = await startSimulator(t);
    const token = await adminTokenOf(simulator);
    for (const count of [1, 1, 2]) {
      const response = await postRecords(simulator, { token, body: recordsOf(count) });
      assert.equal(response.status, 200);
      if (count === 1) assert.deepEqual(simulator.violations(NAME), []);
    }
    assert.deepEqual(simulator.violations(NAME), ["batch-1"]);
    assert.deepEqual(
      simulator.entries(NAME).map(({ count }) => count),
      [3, 1],
    );
    const { at, ...last } = simulator.requests(NAME).at(-1) ?? {};
    assert.deepEqual(last, {
      kind: "entries",
      path: `${SERVICES_PATH}/dnc-groups/7/records`,
      key: "batch-1",
      traceparent: null,
      sha256: createHash("sha256").update(recordsOf(2)).digest("hex"),
      status: 200,
      entries: 2,
      replayed: false,
      applied: true,
    });
    assert.ok(typeof at === "string");
  });

  test("a token that is unknown is 401, one that can't write 403, a body that is no JSON by its type 415", async (t) => {
    const simulator = await startSimulator(t);
    const body = recordsOf(1);
    const reader = await tokenOf(simulator, { scope: "dnc:read" });
    const token = await adminTokenOf(simulator);
    assert.equal((await postRecords(simulator, { token: "made-up", body })).status, 401);
    assert.equal((await postRecords(simulator, { token: reader, body })).status, 403);
    assert.equal((await postRecords(simulator, { token, body, contentType: "text/plain" })).status, 415);
    assert.deepEqual(simulator.entries(NAME), []);
  });
});

describe("simulator: admin-dnc-groups faults", () => {
  test("both dialects share the quota", async (t) => {
    const { clock } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    simulator.setFaults(NAME, { requestsPerSecond: 2, retryAfter: 9 });
    const token = await adminTokenOf(simulator);
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 201);
    assert.equal((await postRecords(simulator, { token, body: recordsOf(1) })).status, 200);
    const limited = await postRecords(simulator, { token, body: recordsOf(1) });
    assert.deepEqual([limited.status, limited.headers.get("retry-after")], [429, "9"]);
  });

  test("errorRate and outages apply nothing, whether they come before or while the request waits", async (t) => {
    const draws = [0.1, 0.9];
    const simulator = await startSimulator(t, { random: () => draws.shift() ?? 0.5 });
    const token = await adminTokenOf(simulator);
    const send = (): Promise<Response> => postRecords(simulator, { token, body: recordsOf(1) });
    simulator.setFaults(NAME, { errorRate: 0.3 });
    assert.equal((await send()).status, 500);
    simulator.setFaults(NAME, { outage: "503" });
    assert.equal((await send()).status, 503);
    simulator.setFaults(NAME, { outage: true });
    await assertCut(send());
    simulator.setFaults(NAME, { latencyMs: 60_000 });
    const pending = assertCut(send());
    await received(simulator, 5);
    simulator.setFaults(NAME, { outage: true });
    await pending;
    assert.deepEqual(simulator.entries(NAME), []);
    simulator.setFaults(NAME, {});
    assert.equal((await send()).status, 200);
  });

  test("a reset cuts a request in progress, which leaves nothing on the new list", async (t) => {
    const simulator = await startSimulator(t);
    const token = await adminTokenOf(simulator);
    simulator.setFaults(NAME, { latencyMs: 60_000 });
    const pending = assertCut(postRecords(simulator, { token, body: recordsOf(1) }));
    await received(simulator, 2);
    simulator.reset();
    await pending;
    assert.deepEqual(simulator.entries(NAME), []);
  });

  test("dropAfterApply applies the records and cuts the connection; sent again they succeed again", async (t) => {
    const simulator = await startSimulator(t);
    const token = await adminTokenOf(simulator);
    simulator.setFaults(NAME, { dropAfterApply: true });
    await assertCut(postRecords(simulator, { token, body: recordsOf(2) }));
    const { status, applied } = simulator.requests(NAME).at(-1) ?? {};
    assert.deepEqual({ status, applied }, { status: 0, applied: true });
    assert.equal(simulator.entries(NAME).length, 2);
    simulator.setFaults(NAME, {});
    const again = await postRecords(simulator, { token, body: recordsOf(2) });
    assert.deepEqual(await again.json(), setOf(0, taken("(212) 555-0000"), taken("(212) 555-0001")));
    assert.deepEqual(
      simulator.entries(NAME).map(({ count }) => count),
      [2, 2],
    );
  });

  test("rejectPhones fails these records alone", async (t) => {
    const simulator = await startSimulator(t);
    const token = await adminTokenOf(simulator);
    simulator.setFaults(NAME, { rejectPhones: [phoneOf(1), "+442071838750"] });
    const body = bodyOf(
      { phoneNumber: 2_125_550_000 },
      { phoneNumber: 2_125_550_001 },
      { phoneNumber: 442_071_838_750 },
    );
    const refused = failed("the number is refused");
    const response = await postRecords(simulator, { token, body });
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), setOf(2, taken("(212) 555-0000"), refused, refused));
    assert.deepEqual(
      simulator.entries(NAME).map(({ phone }) => phone),
      [phoneOf(0)],
    );
    const alone = await postRecords(simulator, { token, body: recordsOf(1, 1), key: "alone" });
    assert.deepEqual(await alone.json(), setOf(1, refused));
    assert.equal(simulator.requests(NAME).at(-1)?.applied, false);
  });

  for (const [shortAck, count] of [
    [true, 2],
    [2, 1],
    [1000, 0],
  ] as const) {
    test(`shortAck ${shortAck} answers for only ${count} of 3 records and takes no more`, async (t) => {
      const simulator = await startSimulator(t);
      const token = await adminTokenOf(simulator);
      simulator.setFaults(NAME, { shortAck });
      const response = await postRecords(simulator, { token, body: recordsOf(3) });
      assert.equal(response.status, 200);
      const results = Array.from({ length: count }, (_, index) => taken(`(212) 555-000${index}`));
      assert.deepEqual(await jsonOf(response), setOf(0, ...results));
      assert.equal(simulator.entries(NAME).length, count);
      assert.equal(simulator.requests(NAME).at(-1)?.applied, count > 0);
    });
  }
});
