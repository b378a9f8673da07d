import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { performancePage, writePage } from "../../bench/page.ts";
import { readResults } from "../../bench/results.ts";
import { createTally, indexOf } from "../../bench/sink/tally.ts";
import { wholeBatches } from "../../bench/workload.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { phoneOf } from "../support/scenario.ts";

const body = (...indices: number[]): Buffer =>
  Buffer.from(
    JSON.stringify(indices.map((index) => ({ phone: phoneOf(index), type: "dncl", source: "web" }))),
  );

describe("the bench", () => {
  test("has its page made from its results (OPTOUT_TEST_UPDATE=1 writes it anew)", () => {
    if (process.env.OPTOUT_TEST_UPDATE) writePage(readResults(), "docs/performance.md");
    assert.equal(readPackageFile("docs/performance.md"), performancePage(readResults()));
  });

  test("has a page that says what isn't measured yet", () => {
    const met = { what: "a query", measured: "1 s", bar: "at most 2 s", met: true };
    const page = performancePage({
      trace: { measured: [met], machine: "2 cores", date: "2026-01-31", repetitions: 1 },
    });
    assert.match(page, /## Trace\n\n2026-01-31, 2 cores; one run\.\n\n[^#]*\| a query \| 1 s \|/);
    assert.match(page, /## Growth\n\nNot measured yet: `npm run bench -- growth`\./);
    assert.doesNotMatch(page, /-- trace/);
  });

  test("knows each event by its phone", () => {
    for (const index of [0, 1, 7, 8, 999_999, 1_999_999])
      assert.equal(indexOf(phoneOf(index).slice(2)), index);
    assert.equal(indexOf("9992000000"), -1);
  });

  test("ends a run when every environment has every event, however often it is sent", () => {
    let completions = 0;
    const tally = createTally(3, 2, () => completions++);
    assert.deepEqual(tally.take(0, body(0, 1, 2)), { entries: 3, duplicates: 0 });
    assert.deepEqual(tally.take(1, body(0, 1)), { entries: 2, duplicates: 0 });
    assert.deepEqual(tally.take(1, body(1, 0)), { entries: 2, duplicates: 2 });
    assert.deepEqual([tally.complete, completions, tally.completedAt[2]], [2, 0, 0]);
    tally.take(1, body(2));
    assert.deepEqual([tally.complete, completions], [3, 1]);
    assert.equal(tally.take(0, body(3)), undefined, "an event of no run");
  });

  test("fills whole batches in every partition", () => {
    assert.equal(wholeBatches(600_000, 6, 500), 600_000);
    assert.equal(wholeBatches(10_000, 6, 500), 12_000);
  });
});
