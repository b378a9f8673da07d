import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type BatchLimits, createBatcher } from "../../src/batching/batcher.ts";
import {
  cutAll,
  inputs,
  limits,
  offsetsOf,
  optOut,
  phoneOf,
  recordAt,
  rejected,
  SCOPE,
} from "./batching-arbitraries.ts";

const WIDE: BatchLimits = { maxEntries: 50, maxWait: 10_000, maxBytes: 1_048_576 };

describe("batcher: properties", () => {
  test("no event is lost, doubled or moved, and ranges neither overlap nor turn back", () => {
    fc.assert(
      fc.property(limits, inputs(), (bounds, events) => {
        const batches = cutAll(SCOPE, bounds, events).map(({ batch }) => batch);
        assert.deepEqual(
          batches.flatMap(offsetsOf),
          events.map(({ record }) => record.offset),
        );
        for (const [index, batch] of batches.entries()) {
          assert.ok(batch.first <= batch.last);
          assert.ok(batch.first > (batches[index - 1]?.last ?? -1));
        }
      }),
    );
  });

  test("no batch is over any limit; a body is too large only if a single entry is", () => {
    fc.assert(
      fc.property(limits, inputs(), (bounds, events) => {
        for (const { batch } of cutAll(SCOPE, bounds, events)) {
          assert.ok(batch.entries.length <= bounds.maxEntries);
          assert.ok(batch.events.length <= bounds.maxEntries * 4);
          assert.ok(batch.body.length <= bounds.maxBytes || batch.entries.length === 1);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("no event waits longer than maxWait", () => {
    fc.assert(
      fc.property(limits, inputs(), (bounds, events) => {
        const seenAt = new Map(events.map(({ record, now }) => [record.offset, now]));
        for (const { batch, trigger } of cutAll(SCOPE, bounds, events)) {
          const times = offsetsOf(batch).map((offset) => seenAt.get(offset) ?? Number.NaN);
          const span = (times.at(-1) ?? Number.NaN) - (times[0] ?? Number.NaN);
          assert.ok(span <= bounds.maxWait, `an event joined after ${span} ms (cut by ${trigger})`);
        }
      }),
    );
  });

  test("the same events at the same times make the same batches", () => {
    fc.assert(
      fc.property(limits, inputs(), (bounds, events) => {
        const fingerprint = () =>
          cutAll(SCOPE, bounds, structuredClone(events)).map(({ batch, trigger }) => [
            batch.key,
            batch.body.toString("utf8"),
            trigger,
          ]);
        assert.deepEqual(fingerprint(), fingerprint());
      }),
      { numRuns: 50 },
    );
  });

  test("events that no limit touches stay in one batch", () => {
    fc.assert(
      fc.property(inputs(40), (events) => {
        const batches = cutAll(SCOPE, { maxEntries: 1_000, maxWait: 1e9, maxBytes: 1e9 }, events);
        assert.equal(batches.length, 1);
      }),
    );
  });
});

describe("batcher: what cuts a batch", () => {
  const fill = (bounds: BatchLimits, count: number) => {
    const batcher = createBatcher(SCOPE, bounds);
    for (let index = 0; index < count; index++) {
      batcher.add(recordAt(index), optOut({ phone: phoneOf(index) }), 0);
    }
    return batcher;
  };

  test("entries: as many distinct phones as allowed", () => {
    assert.equal(fill(WIDE, 49).cutAfter(0), undefined);
    const full = fill(WIDE, 50);
    assert.equal(full.cutAfter(0), "entries");
    assert.equal(full.cut().entries.length, 50);
    assert.equal(full.openEvents, 0);
    assert.equal(full.cutAfter(0), undefined);
  });

  test("events: repeated phones and rejected events add no entry, but four times maxEntries are enough", () => {
    for (const decoded of [optOut({ phone: phoneOf(1) }), rejected]) {
      const batcher = createBatcher(SCOPE, WIDE);
      for (let index = 0; index < 199; index++) {
        batcher.add(recordAt(index), decoded, 0);
        assert.equal(batcher.cutAfter(0), undefined);
      }
      batcher.add(recordAt(199), decoded, 0);
      assert.equal(batcher.cutAfter(0), "events");
    }
  });

  test("bytes: an event that would overflow the body is left for the next batch", () => {
    const oneEntry = '{"phone":"+12125550000","type":"dncl","source":"web"}'.length;
    const two = 2 * oneEntry + "[,]".length;
    const next = optOut({ phone: phoneOf(9) });
    const exact = fill({ ...WIDE, maxBytes: two }, 1);
    assert.equal(exact.cutBefore(next), undefined);
    exact.add(recordAt(9), next, 0);
    assert.equal(exact.cutAfter(0), "bytes");
    assert.equal(exact.cut().body.length, two);
    assert.equal(fill({ ...WIDE, maxBytes: two - 1 }, 1).cutBefore(next), "bytes");
  });

  test("bytes: a stronger wish that makes its entry longer counts as well", () => {
    const long = optOut({ phone: phoneOf(0), source: "s".repeat(64) });
    const short = optOut({ phone: phoneOf(0), source: "x", expiresAt: "2030-01-01T00:00:00Z" });
    const batcher = createBatcher(SCOPE, { ...WIDE, maxBytes: 110 });
    batcher.add(recordAt(0), short, 0);
    assert.equal(batcher.cutAfter(0), undefined);
    assert.equal(batcher.cutBefore(long), "bytes");
  });

  test("bytes: an entry larger than the limit goes alone", () => {
    const batcher = createBatcher(SCOPE, { ...WIDE, maxBytes: 20 });
    const large = optOut({ phone: phoneOf(0) });
    assert.equal(batcher.cutBefore(large), undefined);
    batcher.add(recordAt(0), large, 0);
    assert.equal(batcher.cutAfter(0), "bytes");
    assert.equal(batcher.cut().entries.length, 1);
  });

  test("time: maxWait after the first event, whatever came later", () => {
    const batcher = createBatcher(SCOPE, WIDE);
    assert.equal(batcher.deadline, undefined);
    assert.equal(batcher.cutAfter(1e9), undefined, "an empty batch isn't cut");
    batcher.add(recordAt(0), rejected, 1_000);
    batcher.add(recordAt(1), optOut({ phone: phoneOf(1) }), 9_000);
    assert.equal(batcher.deadline, 11_000);
    assert.equal(batcher.cutAfter(10_999), undefined);
    assert.equal(batcher.cutAfter(11_000), "time");
    batcher.cut();
    batcher.add(recordAt(2), rejected, 20_000);
    assert.equal(batcher.deadline, 30_000);
  });
});

describe("batcher: what it tells of the open batch", () => {
  test("counts, first offset and age follow the open batch only", () => {
    const batcher = createBatcher(SCOPE, WIDE);
    const told = () => [batcher.first, batcher.openEvents, batcher.openEntries, batcher.oldestAskedAt()];
    assert.deepEqual(told(), [undefined, 0, 0, Number.POSITIVE_INFINITY]);
    batcher.add(recordAt(5), rejected, 0);
    batcher.add(recordAt(6, 60), optOut({ phone: phoneOf(1) }), 0);
    batcher.add(recordAt(9, 90), optOut({ phone: phoneOf(1) }), 0);
    assert.deepEqual(told(), [5, 3, 1, 60]);
    assert.deepEqual(offsetsOf(batcher.cut()), [5, 6, 9]);
    assert.deepEqual(told(), [undefined, 0, 0, Number.POSITIVE_INFINITY]);
  });
});
