import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { verdictOf } from "../../src/delivery/dialects/compliance-dnc.ts";
import type { HttpResponse, Verdict } from "../../src/delivery/dialects/dialect.ts";
import { dialectWith, exchange } from "./delivery-compliance-dnc-fixture.ts";
import { NOW, response, signal } from "./delivery-dialect-fixture.ts";

const kindOf = (body: unknown, entries: number, status = 201): Verdict["kind"] =>
  verdictOf(response(status, body), entries, NOW).kind;

describe("compliance-dnc: what acknowledges", () => {
  test("success:true with counts that cover the entries, on any 2xx", () => {
    for (const status of [200, 201, 202, 207, 299]) {
      assert.equal(
        kindOf({ success: true, entriesProcessed: 2, duplicateCount: 0 }, 2, status),
        "acknowledged",
      );
    }
  });

  test("duplicates count, outside entriesProcessed or within it", () => {
    for (const counts of [
      { entriesProcessed: 3, duplicateCount: 1 },
      { entriesProcessed: 0, duplicateCount: 4 },
      { entriesProcessed: 4, duplicateCount: 4 },
      { entriesProcessed: 4, duplicateCount: 0 },
      { entriesProcessed: 4 },
      { entriesProcessed: 5, duplicateCount: 1 },
    ]) {
      assert.equal(kindOf({ success: true, ...counts }, 4), "acknowledged", JSON.stringify(counts));
    }
  });

  test("fields that nobody asked for don't matter", () => {
    const body = { success: true, entriesProcessed: 1, duplicateCount: 0, message: "ok", errors: [] };
    assert.equal(kindOf(body, 1), "acknowledged");
  });

  /** A server that took so many of the entries, some of which it had before. */
  const server = fc.integer({ min: 1, max: 60 }).chain((entries) =>
    fc.nat({ max: entries }).chain((taken) =>
      fc.record({
        entries: fc.constant(entries),
        taken: fc.constant(taken),
        duplicateCount: fc.nat({ max: taken }),
      }),
    ),
  );

  test("it is acknowledged if and only if all were taken, by a server that counts duplicates apart", () => {
    fc.assert(
      fc.property(server, ({ entries, taken, duplicateCount }) => {
        const body = { success: true, entriesProcessed: taken - duplicateCount, duplicateCount };
        assert.equal(kindOf(body, entries), taken === entries ? "acknowledged" : "short");
      }),
    );
  });

  test("it is acknowledged if all were taken, by a server that counts duplicates twice, and else hardly ever", () => {
    fc.assert(
      fc.property(server, ({ entries, taken, duplicateCount }) => {
        const isRightByChance = taken + duplicateCount === entries;
        const expected = taken === entries || isRightByChance ? "acknowledged" : "short";
        assert.equal(kindOf({ success: true, entriesProcessed: taken, duplicateCount }, entries), expected);
      }),
    );
    assert.equal(kindOf({ success: true, entriesProcessed: 8, duplicateCount: 3 }, 10), "short");
  });
});

describe("compliance-dnc: what doesn't acknowledge, though it is a success", () => {
  const whole = { success: true, entriesProcessed: 2, duplicateCount: 0 };
  const bodies: Record<string, unknown> = {
    "success:false": { ...whole, success: false },
    "success as a string": { ...whole, success: "true" },
    "success as a number": { ...whole, success: 1 },
    "success null": { ...whole, success: null },
    "success missing": { entriesProcessed: 2, duplicateCount: 0 },
    "entriesProcessed missing": { success: true, duplicateCount: 2 },
    "entriesProcessed as a string": { ...whole, entriesProcessed: "2" },
    "entriesProcessed null": { ...whole, entriesProcessed: null },
    "entriesProcessed negative": { ...whole, entriesProcessed: -2, duplicateCount: 4 },
    "entriesProcessed fractional": { ...whole, entriesProcessed: 2.5 },
    "duplicateCount as a string": { ...whole, entriesProcessed: 1, duplicateCount: "1" },
    "duplicateCount negative": { ...whole, entriesProcessed: 3, duplicateCount: -1 },
    "too few": { ...whole, entriesProcessed: 1 },
    "another case": { Success: true, EntriesProcessed: 2 },
    "in an array": [whole],
    "within another object": { result: whole },
    "a string": JSON.stringify(JSON.stringify(whole)),
    null: "null",
    "a number": "2",
    "an empty body": "",
    blanks: "  \n",
    HTML: "<!doctype html><html><body>success</body></html>",
    "truncated JSON": JSON.stringify(whole).slice(0, -1),
    "two documents": JSON.stringify(whole) + JSON.stringify(whole),
    binary: "\u0000\u0001\ufffd",
  };

  for (const [what, body] of Object.entries(bodies)) {
    test(what, () => {
      assert.equal(kindOf(body, 2), "short");
      assert.equal(kindOf(body, 2, 204), "short");
    });
  }

  test("arbitrary bodies never throw, and never acknowledge unless they say so", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.json()), (body) => {
        assert.equal(kindOf(body, 1), "short");
      }),
      { numRuns: 300 },
    );
  });
});

describe("compliance-dnc: the answer table", () => {
  const rows: [Verdict["kind"], number[]][] = [
    ["unauthorized", [401]],
    ["refused", [400, 413, 422]],
    ["unavailable", [408, 409, 425, 429, 500, 501, 502, 503, 504, 507, 520, 599]],
    [
      "misconfigured",
      [
        300, 301, 302, 303, 304, 307, 308, 402, 403, 404, 405, 406, 407, 410, 411, 412, 414, 415, 418, 421,
        423, 424, 426, 428, 431, 451, 499,
      ],
    ],
  ];

  test("every status has its row, whatever the body says", () => {
    const whole = { success: true, entriesProcessed: 9, duplicateCount: 0 };
    for (const [kind, statuses] of rows) {
      for (const status of statuses) {
        for (const body of [whole, "", "<html>"]) assert.equal(kindOf(body, 1, status), kind, `${status}`);
      }
    }
  });

  test("no status from 200 to 599 is without a row", () => {
    const known = new Map(
      rows.flatMap(([kind, statuses]) => statuses.map((status) => [status, kind] as const)),
    );
    for (let status = 200; status < 600; status++) {
      const otherwise = status < 300 ? "short" : status >= 500 ? "unavailable" : "misconfigured";
      assert.equal(kindOf("", 1, status), known.get(status) ?? otherwise, `${status}`);
    }
  });

  test("Retry-After counts on 429 and 503 only", () => {
    for (let status = 200; status < 600; status++) {
      const verdict = verdictOf(response(status, "", { "retry-after": "30" }), 1, NOW);
      const wait = verdict.kind === "unavailable" ? verdict.retryAfter : undefined;
      assert.equal(wait, status === 429 || status === 503 ? 30_000 : undefined, `${status}`);
    }
  });

  test("Retry-After as a date is measured by the server's clock", () => {
    const headers = { "retry-after": "Sun, 06 Nov 1994 08:50:07 GMT", date: "Sun, 06 Nov 1994 08:49:37 GMT" };
    assert.deepEqual(verdictOf(response(429, "", headers), 1, NOW), {
      kind: "unavailable",
      retryAfter: 30_000,
    });
    assert.deepEqual(verdictOf(response(429, "", { "retry-after": "soon" }), 1, NOW), {
      kind: "unavailable",
    });
  });
});

const dialect = dialectWith();

test("compliance-dnc: names its scope, and bounds no request by itself", () => {
  assert.equal(dialect.scope, "dnc:write");
  assert.equal(dialect.maxEntries, Number.POSITIVE_INFINITY);
});

describe("compliance-dnc: submitting entries", () => {
  const submission = {
    key: "opt-out-events:0:1-2:0123456789abcdef",
    entries: [{ phone: "+12125550123", type: "dncl" as const, source: "web" }],
    body: Buffer.from('[{"phone":"+12125550123","type":"dncl","source":"web"}]'),
    token: "t1",
  };
  const submit = (answer: HttpResponse) =>
    exchange(answer, (send) => dialect.submit(send, submission, signal));

  test("the request is as the contract says, with the very bytes of the batch", async () => {
    const { request } = await submit(response(201));
    assert.equal(request.method, "POST");
    assert.equal(request.url, "https://api.example.com/base/api/v2/compliance/dnc/entries");
    assert.deepEqual(request.headers, {
      authorization: "Bearer t1",
      "content-type": "application/json",
      accept: "application/json",
      "idempotency-key": "opt-out-events:0:1-2:0123456789abcdef",
    });
    assert.equal(request.body, submission.body);
    assert.equal(request.signal, signal);
  });

  test("the answer carries verdict, status and request id", async () => {
    const body = { success: true, entriesProcessed: 1, duplicateCount: 0 };
    const { result } = await submit(response(201, body, { "x-request-id": "r-1" }));
    assert.deepEqual(result, { verdict: { kind: "acknowledged" }, httpStatus: 201, requestId: "r-1" });
    assert.equal((await submit(response(500))).result.requestId, null);
    const long = await submit(response(500, "", { "x-request-id": "x".repeat(10_000) }));
    assert.equal(long.result.requestId?.length, 200);
  });
});
