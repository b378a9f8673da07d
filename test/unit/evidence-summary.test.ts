import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { optOutOf } from "../../src/evidence/opt-out.ts";
import { createSummarizer, percentiles } from "../../src/evidence/summary.ts";
import type { FoundStatus } from "../../src/inspect/statuses.ts";
import { accepted, at, refused, statusOf } from "./evidence-fixture.ts";

const summaryOf = (statuses: readonly FoundStatus[]) => {
  const summarizer = createSummarizer(["production", "us-west"]);
  for (const status of statuses) summarizer.add(optOutOf(status, { reveal: false }));
  return summarizer.result();
};

/** Honoured so many seconds after the person asked. */
const within = (offset: number, seconds: number): FoundStatus =>
  statusOf(offset, { environments: [accepted("production", at(seconds))] });

describe("the summary of the evidence", () => {
  test("outcomes, reasons, environments and times are counted", () => {
    const summary = summaryOf([
      statusOf(1),
      statusOf(2, { occurredAt: null, environments: [accepted("production", null)] }),
      statusOf(3, {
        ...{ outcome: "partially_delivered", reason: "refused_by_environment" },
        environments: [accepted("production", at(30)), refused("us-west")],
      }),
      statusOf(4, { outcome: "rejected", reason: "invalid_phone", environments: [], phone: null }),
      statusOf(5, {
        redriven: { origin: "events:0:4", from: "events:0:4", at: at(9), count: 1 },
        environments: [accepted("old", at(20))],
      }),
    ]);
    const { slowest, notHonoured, ...counts } = summary;
    assert.deepEqual(counts, {
      ...{ optOuts: 5, delivered: 3, partiallyDelivered: 1, rejected: 1, asked: 4, redriven: 1 },
      byReason: [
        { reason: "invalid_phone", optOuts: 1 },
        { reason: "refused_by_environment", optOuts: 1 },
      ],
      byEnvironment: [
        { name: "production", accepted: 3, rejected: 0 },
        { name: "us-west", accepted: 1, rejected: 1 },
        { name: "old", accepted: 1, rejected: 0 },
      ],
      timeToHonour: { optOuts: 3, atMost: 1, p50: 51, p90: 60, p99: 60, max: 60 },
    });
    assert.deepEqual(
      slowest.map(({ statusId, timeToHonourSeconds }) => [statusId, timeToHonourSeconds]),
      [
        ["events:0:1", 60],
        ["events:0:2", 51],
        ["events:0:5", 20],
      ],
    );
    assert.deepEqual(
      notHonoured.map(({ statusId, reason }) => [statusId, reason]),
      [
        ["events:0:3", "refused_by_environment"],
        ["events:0:4", "invalid_phone"],
      ],
    );
  });

  test("of nothing, there are no times", () => {
    assert.deepEqual(summaryOf([]).timeToHonour, {
      ...{ optOuts: 0, atMost: 0, p50: null, p90: null, p99: null, max: null },
    });
  });

  test("percentiles are the nearest rank: a value that occurred, of which so large a share is no larger", () => {
    const hundred = Float64Array.from({ length: 100 }, (_, index) => index + 1);
    assert.deepEqual(percentiles(hundred), { optOuts: 100, p50: 50, p90: 90, p99: 99, max: 100 });
    assert.deepEqual(percentiles(Float64Array.of(7)), { optOuts: 1, p50: 7, p90: 7, p99: 7, max: 7 });
  });

  test("in whatever order they come, the twenty slowest are kept and the percentiles exact", () => {
    const seconds = fc.array(fc.nat(5_000), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(seconds, (times) => {
        const summary = summaryOf(times.map((time, offset) => within(offset, time)));
        const sorted = [...times].sort((a, b) => a - b);
        assert.deepEqual(
          summary.slowest.map(({ timeToHonourSeconds }) => timeToHonourSeconds),
          sorted.toReversed().slice(0, 20),
        );
        const { p90, max } = summary.timeToHonour;
        assert.ok(sorted.filter((time) => time <= (p90 ?? -1)).length >= 0.9 * times.length);
        assert.equal(max, sorted.at(-1));
      }),
    );
  });

  test("names that anybody may have written don't grow without bound", () => {
    const statuses = Array.from({ length: 300 }, (_, offset) =>
      statusOf(offset, { outcome: "rejected", reason: `reason-${offset}`, environments: [] }),
    );
    const { byReason } = summaryOf(statuses);
    assert.equal(byReason.length, 201);
    assert.deepEqual(byReason[0], { reason: "(others)", optOuts: 100 });
  });
});
