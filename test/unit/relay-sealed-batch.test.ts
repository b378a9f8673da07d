import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Batch, createBatchBuilder } from "../../src/batching/batch.ts";
import type { LedgerBatch } from "../../src/batching/ledger.ts";
import { answer, isAnswered, rebuiltBatch, sealedBatch, settle } from "../../src/relay/sealed-batch.ts";
import { optOut, part, phoneOf, recordAt, rejected, SCOPE } from "./relay-partition-fixture.ts";

function batchOf(first: number, last: number, decoded = optOut({ phone: phoneOf(first) })): Batch {
  const builder = createBatchBuilder(SCOPE);
  for (let offset = first; offset <= last; offset++) builder.add(recordAt(offset), decoded);
  return builder.build();
}

const entry = (more: Partial<LedgerBatch> = {}): LedgerBatch => ({
  first: 5,
  last: 7,
  settled: false,
  acknowledged: [true, false],
  ...more,
});

describe("a sealed batch", () => {
  test("starts unrecorded and unanswered", () => {
    const sealed = sealedBatch(batchOf(5, 7), 2);
    assert.equal(sealed.recorded, false);
    assert.equal(sealed.settled, false);
    assert.deepEqual(sealed.acknowledged, [false, false]);
    assert.deepEqual(sealed.outcomes, [undefined, undefined]);
    assert.deepEqual([sealed.first, sealed.last], [5, 7]);
    assert.equal(isAnswered(sealed), false);
  });

  test("is answered once every environment has had its last word, whatever that was", () => {
    const sealed = sealedBatch(batchOf(5, 7), 2);
    answer(sealed, 1, [part(0, 1)]);
    assert.equal(isAnswered(sealed), false);
    answer(sealed, 0, [part(0, 1, false)]);
    assert.equal(isAnswered(sealed), true);
    assert.deepEqual(sealed.acknowledged, [false, true], "a refusal is no acknowledgement");
    settle(sealed);
    assert.equal(sealed.settled, true);
    assert.deepEqual(sealed.acknowledged, [true, true], "settled: nobody is to be asked again");
  });

  test("is acknowledged only if every part of it was taken", () => {
    const sealed = sealedBatch(batchOf(5, 7), 1);
    answer(sealed, 0, [part(0, 1), part(1, 2, false), part(2, 3)]);
    assert.deepEqual(sealed.acknowledged, [false]);
  });

  test("without an entry is answered from the start", () => {
    assert.equal(isAnswered(sealedBatch(batchOf(5, 7, rejected), 3)), true);
  });

  test("rebuilt from its ledger entry, is recorded, and acknowledged where it was", () => {
    const rebuilt = rebuiltBatch(batchOf(5, 7), entry());
    assert.equal(rebuilt.recorded, true);
    assert.deepEqual(rebuilt.acknowledged, [true, false]);
    assert.deepEqual(rebuilt.outcomes, ["earlier", undefined]);
  });

  test("rebuilt with another range than its entry's, has to be recorded first", () => {
    assert.equal(rebuiltBatch(batchOf(6, 7), entry()).recorded, false);
    const narrowed = rebuiltBatch(batchOf(5, 6), entry());
    assert.equal(narrowed.recorded, false);
    assert.deepEqual([narrowed.first, narrowed.last], [5, 6]);
    assert.deepEqual(narrowed.outcomes, ["earlier", undefined]);
  });

  test("stays settled, unless an environment has come since", () => {
    assert.equal(
      rebuiltBatch(batchOf(5, 7), entry({ settled: true, acknowledged: [true, true] })).settled,
      true,
    );
    const more = rebuiltBatch(batchOf(5, 7), entry({ settled: true, acknowledged: [true, true, false] }));
    assert.equal(more.settled, false);
    assert.deepEqual(more.outcomes, ["earlier", "earlier", undefined]);
  });

  test("doesn't share its flags with the ledger it came from", () => {
    const source = entry();
    settle(rebuiltBatch(batchOf(5, 7), source));
    assert.deepEqual(source, entry());
  });
});
