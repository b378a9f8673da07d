import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Batch, createBatchBuilder, ledgerDigest } from "../../src/batching/batch.ts";
import {
  decodeLedger,
  encodeLedger,
  type LedgerBatch,
  restOf,
  UNKNOWN_DIGEST,
} from "../../src/batching/ledger.ts";
import type { Split } from "../../src/batching/split.ts";
import { answer, isAnswered, rebuiltBatch, sealedBatch, settle } from "../../src/relay/sealed-batch.ts";
import { optOut, part, phoneOf, recordAt, rejected, SCOPE } from "./relay-partition-fixture.ts";

function batchOf(first: number, last: number, decoded = optOut({ phone: phoneOf(first) })): Batch {
  const builder = createBatchBuilder(SCOPE);
  for (let offset = first; offset <= last; offset++) builder.add(recordAt(offset), decoded);
  return builder.build();
}

function batchOfTwo(first: number): Batch {
  const builder = createBatchBuilder(SCOPE);
  for (const offset of [first, first + 1]) builder.add(recordAt(offset), optOut({ phone: phoneOf(offset) }));
  return builder.build();
}

const entry = (more: Partial<LedgerBatch> = {}): LedgerBatch => ({
  first: 5,
  last: 7,
  digest: ledgerDigest(batchOf(5, 7)),
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

  test("rebuilt, is in the pieces that the ledger says, if it still is that batch", () => {
    const splits: (Split | undefined)[] = [undefined, ["acknowledged", "pending"]];
    const pair = batchOfTwo(5);
    const written = { first: 5, last: 6, digest: ledgerDigest(pair), splits };
    assert.deepEqual(rebuiltBatch(pair, entry(written)).splits, splits);
    assert.deepEqual(rebuiltBatch(pair, entry({ ...written, digest: UNKNOWN_DIGEST })).splits, [
      undefined,
      undefined,
    ]);
    assert.deepEqual(rebuiltBatch(pair, entry({ ...written, last: 7 })).splits, [undefined, undefined]);
    const tooDeep: Split = ["acknowledged", ["pending", "pending"]];
    assert.deepEqual(rebuiltBatch(pair, entry({ ...written, splits: [undefined, tooDeep] })).splits, [
      undefined,
      undefined,
    ]);
  });

  test("stays settled, whatever environment has come since: its outcome is published", () => {
    const more = rebuiltBatch(batchOf(5, 7), entry({ settled: true, acknowledged: [true, true, false] }));
    assert.equal(more.settled, true);
    assert.equal(isAnswered(more), true);
  });

  test("whose records are read otherwise now has been acknowledged by nobody", () => {
    const read = rebuiltBatch(batchOf(5, 7, optOut({ phone: phoneOf(99) })), entry());
    assert.equal(read.recorded, false, "its new body has to be recorded before it is sent");
    assert.deepEqual(read.acknowledged, [false, false]);
    assert.deepEqual(read.outcomes, [undefined, undefined]);
  });

  test("whose records have expired in part goes to every environment again: what is left may be read otherwise now", () => {
    const left = rebuiltBatch(batchOf(6, 7), entry({ first: 6, digest: UNKNOWN_DIGEST }));
    assert.equal(left.recorded, false);
    assert.deepEqual(left.outcomes, [undefined, undefined]);
  });

  test("whose records have expired in part is acknowledged by nobody after the next commit, either", () => {
    const names = ["production", "us-west"];
    const known = entry({ acknowledged: [true, false] });
    const settled = entry({ first: 8, last: 9, settled: true, acknowledged: [true, true] });
    const rests = [restOf(known, 6), restOf(settled, 9)];
    const read = decodeLedger(6, encodeLedger(6, rests, names), names);
    assert.ok(read.ok);
    assert.deepEqual(
      read.batches.map((each) => [each.first, each.last, each.settled, ...each.acknowledged]),
      [
        [6, 7, false, false, false],
        [9, 9, true, true, true],
      ],
    );
  });

  test("holds no records once it is settled", () => {
    const sealed = sealedBatch(batchOf(5, 7), 2);
    settle(sealed);
    const { events, entries, body } = sealed.batch;
    assert.deepEqual([events.length, entries.length, body.length], [0, 0, 0]);
    assert.deepEqual([sealed.first, sealed.last], [5, 7]);
  });

  test("doesn't share its flags with the ledger it came from", () => {
    const source = entry();
    settle(rebuiltBatch(batchOf(5, 7), source));
    assert.deepEqual(source, entry());
  });
});
