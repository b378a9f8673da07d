import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Verdict } from "../../src/delivery/dialects/dialect.ts";
import {
  entriesVerdict,
  failed,
  kindOf,
  results,
  submit,
  taken,
  US,
} from "./delivery-admin-dnc-groups-fixture.ts";
import { response } from "./delivery-dialect-fixture.ts";

describe("admin-dnc-groups: results of a success", () => {
  test("all taken is acknowledged", async () => {
    const { result } = await submit(US, results([true, true, true]));
    assert.deepEqual(result, { verdict: { kind: "acknowledged" }, httpStatus: 200, requestId: null });
    const withId = await submit(US, { ...results([true, true, true]), header: () => "r-1" });
    assert.equal(withId.result.requestId, "r-1");
  });

  test("a record that fails may pass later, whether others were taken or not", async () => {
    const { result } = await submit(US, results([true, false, true]));
    assert.deepEqual(result, {
      verdict: entriesVerdict(taken, failed, taken),
      httpStatus: 200,
      requestId: null,
    });
    const all = await submit(US, results([false, false, false]));
    assert.deepEqual(all.result.verdict, entriesVerdict(failed, failed, failed));
  });

  test("a record that fails alone may pass too, and says why in our own words: the API's may quote the number", async () => {
    const { result } = await submit(["+14155552671"], results([false]));
    assert.deepEqual(result.verdict, {
      kind: "entries",
      outcomes: [{ kind: "retry", detail: "the API didn't add this number to the group" }],
    });
  });

  test("more errors than failed records are believed, fewer are not", async () => {
    assert.equal(await kindOf(results([true, true, true], { errorCount: 1 })), "short");
    assert.equal(await kindOf(results([true, false, true], { errorCount: 2 })), "short");
    const { result } = await submit(US, results([true, false, true], { errorCount: 0 }));
    assert.deepEqual(result.verdict, entriesVerdict(taken, failed, taken));
    assert.equal(await kindOf(results([true, true, true], { errorCount: null })), "acknowledged");
  });

  test("results in another order than the records blame nobody", async () => {
    const recordResults = [
      { success: true, formattedPhone: "(212) 555-0123" },
      { success: false, formattedPhone: "(415) 555-2671" },
    ];
    const swapped = response(200, { resultSet: { errorCount: 1, recordResults } });
    assert.equal(await kindOf(swapped, ["+14155552671", "+12125550123"]), "short");
    const { result } = await submit(["+12125550123", "+14155552671"], swapped);
    assert.deepEqual(result.verdict, entriesVerdict(taken, failed));
  });

  test("how the API writes a number doesn't matter if there is no doubt whose result it is", async () => {
    for (const formattedPhone of ["02071838750", 7, {}]) {
      const of = (success: boolean) =>
        response(200, {
          resultSet: { errorCount: success ? 0 : 1, recordResults: [{ success, formattedPhone }] },
        });
      assert.equal(await kindOf(of(true), ["+14155552671"]), "acknowledged");
      const { result } = await submit(["+14155552671"], of(false));
      assert.deepEqual(result.verdict, entriesVerdict(failed));
    }
  });

  const whole = { resultSet: { errorCount: 0, recordResults: [{ success: true }] } };
  const bodies: Record<string, unknown> = {
    "too few results": { resultSet: { errorCount: 0, recordResults: [] } },
    "too many results": {
      resultSet: { errorCount: 0, recordResults: [{ success: true }, { success: true }] },
    },
    "success as a string": { resultSet: { errorCount: 0, recordResults: [{ success: "true" }] } },
    "success missing": { resultSet: { errorCount: 0, recordResults: [{ error: null }] } },
    "a result that is null": { resultSet: { errorCount: 0, recordResults: [null] } },
    "results missing": { resultSet: { errorCount: 0 } },
    "errorCount negative": { resultSet: { ...whole.resultSet, errorCount: -1 } },
    "errorCount as a string": { resultSet: { ...whole.resultSet, errorCount: "0" } },
    "without resultSet": whole.resultSet,
    "in an array": [whole],
    null: "null",
    "an empty body": "",
    HTML: "<html>success</html>",
    "truncated JSON": JSON.stringify(whole).slice(0, -1),
  };
  for (const [what, body] of Object.entries(bodies)) {
    test(`is no delivery: ${what}`, async () => {
      assert.equal(await kindOf(response(200, body), ["+14155552671"]), "short");
      assert.equal(await kindOf(response(204, body), ["+14155552671"]), "short");
    });
  }

  test("arbitrary bodies never throw, and never acknowledge", async () => {
    const property = fc.asyncProperty(fc.oneof(fc.string({ unit: "binary" }), fc.json()), async (body) => {
      assert.equal(await kindOf(response(200, body)), "short");
    });
    await fc.assert(property);
  });

  test("any results: exactly those that succeeded are taken, and nothing ever speaks of another entry", async () => {
    const successes = fc.array(fc.boolean(), { minLength: 1, maxLength: 100 });
    const property = fc.asyncProperty(successes, async (given) => {
      const phones = given.map((_, index) => `+1212555${String(1_000 + index)}`);
      const { verdict } = (await submit(phones, results(given))).result;
      if (given.every(Boolean)) return assert.deepEqual(verdict, { kind: "acknowledged" });
      assert.deepEqual(verdict, entriesVerdict(...given.map((success) => (success ? taken : failed))));
    });
    await fc.assert(property, { numRuns: 50 });
  });
});

describe("admin-dnc-groups: the answer table", () => {
  const rows: [Verdict["kind"], number[]][] = [
    ["unauthorized", [401]],
    ["refused", [400, 413, 422]],
    ["unavailable", [408, 409, 425, 429, 500, 502, 503, 504]],
    ["misconfigured", [301, 302, 307, 402, 403, 404, 405, 410, 415, 451]],
  ];

  test("every failure has its row, whatever the body says", async () => {
    for (const [kind, statuses] of rows) {
      for (const status of statuses) {
        const { result } = await submit(US, response(status, results([true, true, true]).body));
        assert.equal(result.verdict.kind, kind, `${status}`);
        assert.equal(result.httpStatus, status);
      }
    }
  });

  test("Retry-After counts on 429 and 503", async () => {
    for (const status of [429, 500, 503]) {
      const { result } = await submit(US, response(status, "", { "retry-after": "30" }));
      const expected = status === 500 ? {} : { retryAfter: 30_000 };
      assert.deepEqual(result.verdict, { kind: "unavailable", ...expected });
    }
  });
});
