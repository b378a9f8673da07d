import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createCollector } from "../../src/evidence/collector.ts";
import { type FoundStatus, identityOf } from "../../src/inspect/statuses.ts";
import { accepted, at, statusOf } from "./evidence-fixture.ts";

const LIMITS = { maxEvents: 100, maxHeld: 2 };
const lacking = (offset: number): FoundStatus =>
  statusOf(offset, { environments: [accepted("production", null), accepted("us-west", at(60))] });
const ids = (statuses: readonly FoundStatus[]): string[] => statuses.map(({ statusId }) => statusId);

describe("evidence of repeated records", () => {
  test("an event that was told twice is told once, as it was first", () => {
    const collector = createCollector(LIMITS);
    const first = statusOf(1);
    assert.deepEqual(collector.add(first), [first]);
    assert.deepEqual(collector.add(statusOf(1, { completedAt: at(99) })), []);
    assert.deepEqual([collector.finish(), collector.repeats], [[], 1]);
  });

  test("one with the same offset of a topic that was made anew is another one", () => {
    const collector = createCollector(LIMITS);
    const anew = statusOf(1, { origin: { topic: "events", partition: 0, offset: 1, timestamp: at(500) } });
    assert.equal(collector.add(statusOf(1)).length, 1);
    assert.deepEqual(collector.add(anew), [anew]);
    assert.deepEqual(collector.add(anew), []);
    assert.equal(collector.repeats, 1);
  });

  test("one that lacks an acknowledgement's time waits for the repeat that has it, and takes it", () => {
    const collector = createCollector(LIMITS);
    assert.deepEqual(collector.add(lacking(1)), []);
    const [told] = collector.add(statusOf(1, { completedAt: at(99) }));
    assert.deepEqual(told, statusOf(1));
    assert.deepEqual(collector.finish(), []);
  });

  test("what no repeat made better is told at the end, and the oldest at once when too many wait", () => {
    const collector = createCollector(LIMITS);
    assert.deepEqual(collector.add(lacking(1)), []);
    assert.deepEqual(collector.add(lacking(2)), []);
    assert.deepEqual(ids(collector.add(lacking(3))), ["events:0:1"]);
    assert.deepEqual(collector.add(statusOf(1)), []);
    assert.deepEqual(ids(collector.finish()), ["events:0:2", "events:0:3"]);
  });

  test("more events than fit are refused, with the remedy; repeats don't count", () => {
    const collector = createCollector({ ...LIMITS, maxEvents: 1 });
    collector.add(statusOf(1));
    collector.add(statusOf(1));
    assert.throws(() => collector.add(statusOf(2)), {
      code: "usage",
      message: /More than 1 .*shorter.*--from/,
    });
  });

  test("in any order and with any repeats, each event is told exactly once", () => {
    const record = fc.record({ offset: fc.nat(6), second: fc.constantFrom(10, 11), isLacking: fc.boolean() });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 40 }), (records) => {
        const collector = createCollector(LIMITS);
        const statuses = records.map(({ offset, second, isLacking }) => ({
          ...(isLacking ? lacking(offset) : statusOf(offset)),
          origin: { topic: "events", partition: 0, offset, timestamp: at(second) },
        }));
        const told = [...statuses.flatMap((status) => collector.add(status)), ...collector.finish()];
        const expected = [...new Set(statuses.map(identityOf))].sort();
        assert.deepEqual(told.map(identityOf).sort(), expected);
        assert.equal(collector.repeats, statuses.length - expected.length);
      }),
    );
  });
});
