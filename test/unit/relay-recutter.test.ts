import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { LedgerBatch } from "../../src/batching/ledger.ts";
import { createRecutter, type Recutter } from "../../src/relay/recutter.ts";
import { offsetsOf } from "./batching-arbitraries.ts";
import { spansFrom } from "./ledger-arbitraries.ts";
import { optOut, phoneOf, recordAt, rejected, SCOPE } from "./relay-partition-fixture.ts";

const entries = (...ranges: [first: number, last: number][]): LedgerBatch[] =>
  ranges.map(([first, last]) => ({ first, last, digest: 0, settled: false, acknowledged: [] }));

const offer = (recutter: Recutter, offset: number): boolean =>
  recutter.offer(recordAt(offset), optOut({ phone: phoneOf(offset % 1_000) })).isStray;

const complete = (recutter: Recutter): number[][] =>
  recutter.takeComplete().map(({ batch }) => offsetsOf(batch));

describe("cutting again", () => {
  test("a range is complete with its last record, and given out once", () => {
    const recutter = createRecutter(SCOPE, entries([0, 2], [3, 3]));
    assert.equal(recutter.isDone, false);
    assert.equal(offer(recutter, 0), false);
    assert.equal(offer(recutter, 1), false);
    assert.deepEqual(complete(recutter), []);
    assert.equal(recutter.openEntries(0), 2);
    offer(recutter, 2);
    assert.deepEqual(complete(recutter), [[0, 1, 2]]);
    assert.deepEqual(complete(recutter), []);
    offer(recutter, 3);
    assert.deepEqual(complete(recutter), [[3]]);
    assert.equal(recutter.isDone, true);
    assert.equal(recutter.openEntries(0), 0);
  });

  test("a range without its last record is complete when reading has passed it", () => {
    const recutter = createRecutter(SCOPE, entries([0, 5], [10, 12]));
    offer(recutter, 0);
    recutter.advance(5);
    assert.deepEqual(complete(recutter), []);
    recutter.advance(6);
    assert.deepEqual(complete(recutter), [[0]]);
    offer(recutter, 10);
    assert.equal(offer(recutter, 13), true);
    assert.deepEqual(complete(recutter), [[10]]);
  });

  test("a range whose records are all gone gives no batch", () => {
    const recutter = createRecutter(SCOPE, entries([0, 2], [3, 5], [6, 8]));
    offer(recutter, 7);
    assert.deepEqual(complete(recutter), []);
    assert.deepEqual(
      recutter.ranges.map(({ first }) => first),
      [6],
    );
    recutter.advance(100);
    assert.deepEqual(complete(recutter), [[7]]);
    assert.equal(recutter.isDone, true);
  });

  test("a record before the next range, or behind the last, is a stray and not taken", () => {
    const recutter = createRecutter(SCOPE, entries([5, 6]));
    assert.equal(offer(recutter, 4), true);
    assert.equal(offer(recutter, 5), false);
    assert.equal(offer(recutter, 6), false);
    assert.equal(offer(recutter, 7), true);
    assert.deepEqual(complete(recutter), [[5, 6]]);
  });

  test("knows the oldest wish of the range it is cutting", () => {
    const recutter = createRecutter(SCOPE, entries([0, 3]));
    assert.equal(recutter.oldestAskedAt(0), Number.POSITIVE_INFINITY);
    recutter.offer(recordAt(0, 9_000), rejected);
    assert.equal(recutter.oldestAskedAt(0), Number.POSITIVE_INFINITY);
    recutter.offer(recordAt(1, 8_000), optOut({ phone: phoneOf(1) }));
    recutter.offer(recordAt(2, 9_000), optOut({ phone: phoneOf(2), occurredAt: "1970-01-01T00:00:07Z" }));
    assert.equal(recutter.oldestAskedAt(0), 7_000);
  });

  test("what an environment has acknowledged, or what is settled, isn't open there while it is cut", () => {
    const [acknowledged, settled] = entries([0, 1], [2, 3]);
    assert.ok(acknowledged && settled);
    const recutter = createRecutter(SCOPE, [
      { ...acknowledged, acknowledged: [false, true] },
      { ...settled, settled: true, acknowledged: [true, false] },
    ]);
    const open = () => [0, 1].map((each) => [recutter.openEntries(each), recutter.oldestAskedAt(each)]);
    const none = [0, Number.POSITIVE_INFINITY];
    recutter.offer(recordAt(0, 5_000), optOut({ phone: phoneOf(0) }));
    assert.deepEqual(open(), [[1, 5_000], none]);
    offer(recutter, 1);
    offer(recutter, 2);
    assert.deepEqual(open(), [none, none]);
  });

  test("leaves the ledger it was given alone", () => {
    const ledger = entries([0, 1], [2, 3]);
    createRecutter(SCOPE, ledger).advance(100);
    assert.equal(ledger.length, 2);
  });

  test("gives each record to the range it lies in, in order, whichever records are left", () => {
    const step = fc.record({ gap: fc.nat(3), length: fc.integer({ min: 1, max: 5 }) });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 12 }),
        fc.array(fc.boolean(), { maxLength: 90 }),
        (steps, isThere) => {
          const spans = spansFrom(0, steps);
          const offsets = isThere.flatMap((flag, offset) => (flag ? [offset] : []));
          const recutter = createRecutter(
            SCOPE,
            entries(...spans.map(({ first, last }): [number, number] => [first, last])),
          );
          const strays = offsets.filter((offset) => offer(recutter, offset));
          recutter.advance(1_000);
          const within = spans.map(({ first, last }) =>
            offsets.filter((offset) => offset >= first && offset <= last),
          );
          assert.deepEqual(
            complete(recutter),
            within.filter((each) => each.length > 0),
          );
          assert.deepEqual(
            strays,
            offsets.filter((offset) => !within.flat().includes(offset)),
          );
          assert.equal(recutter.isDone, true);
        },
      ),
    );
  });
});
