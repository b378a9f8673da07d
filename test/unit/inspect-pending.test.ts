import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createBatchBuilder, ledgerDigest } from "../../src/batching/batch.ts";
import type { LedgerBatch } from "../../src/batching/ledger.ts";
import type { Decoded } from "../../src/events/event.ts";
import { createScan, type PendingEvent } from "../../src/inspect/pending.ts";

const scope = { clusterId: "cluster", topic: "events", partition: 3 };
const PHONE = "+12125550123";

const decodedOf = (phone: string, offset: number): Decoded => ({
  ok: true,
  event: { phone, type: "dncl", expiresAt: null, source: "web", eventId: `e-${offset}`, occurredAt: null },
});
const rejected: Decoded = {
  ok: false,
  reason: "undecodable",
  detail: "not valid JSON",
  ...{ eventId: null, source: "unknown", occurredAt: null },
};
const messageOf = (offset: number) => ({
  offset: String(offset),
  timestamp: String(1_000 + offset),
  key: null,
  value: Buffer.from("any"),
  ...{ attributes: 0, headers: {} },
});

/** What lies behind the committed offset 10: the phone at 10, 13, 15 and 17, a record without one at 12. */
const records: [offset: number, decoded: Decoded][] = [
  [10, decodedOf(PHONE, 10)],
  [11, decodedOf("+12125550111", 11)],
  [12, rejected],
  [13, decodedOf(PHONE, 13)],
  [14, decodedOf("+12125550114", 14)],
  [15, decodedOf(PHONE, 15)],
  [16, decodedOf("+12125550116", 16)],
  [17, decodedOf(PHONE, 17)],
];

function batchOf(first: number, last: number, more: Partial<LedgerBatch> = {}) {
  const builder = createBatchBuilder(scope);
  for (const [offset, decoded] of records) {
    if (offset < first || offset > last) continue;
    builder.add({ offset, timestamp: 0, key: null, value: null, headers: {} }, decoded);
  }
  const batch = builder.build();
  const entry: LedgerBatch = {
    ...{ first, last, settled: false, acknowledged: [false, false], digest: ledgerDigest(batch) },
    ...more,
  };
  return { key: batch.key, entry };
}

function scan(ledger: readonly LedgerBatch[], phone = PHONE, unread: number[] = []): PendingEvent[] {
  const scanning = createScan(scope, ledger, phone);
  for (const [offset, decoded] of records) {
    scanning.add(messageOf(offset), unread.includes(offset) ? undefined : decoded);
  }
  return scanning.finish();
}

const views = (events: readonly PendingEvent[]) =>
  events.map(({ offset, timestamp, batch }) => [
    offset,
    timestamp,
    batch?.key ?? null,
    batch?.acknowledged ?? null,
  ]);

describe("what is pending for a phone", () => {
  test("without a ledger every opt-out of the phone is in no batch", () => {
    assert.deepEqual(views(scan([])), [
      [10, 1_010, null, null],
      [13, 1_013, null, null],
      [15, 1_015, null, null],
      [17, 1_017, null, null],
    ]);
    assert.deepEqual(scan([], "+12125550199"), []);
  });

  test("an event in a sealed batch has the batch's key and the acknowledgements of its environments", () => {
    const one = batchOf(10, 12, { acknowledged: [true, false] });
    const two = batchOf(13, 16, { acknowledged: [false, true] });
    assert.deepEqual(views(scan([one.entry, two.entry])), [
      [10, 1_010, one.key, [true, false]],
      [13, 1_013, two.key, [false, true]],
      [15, 1_015, two.key, [false, true]],
      [17, 1_017, null, null],
    ]);
  });

  test("of a batch in pieces an environment has the phone only if its piece is acknowledged", () => {
    // Entries: the phone, 14's number, 16's number.
    const taken = batchOf(13, 16, { splits: [[["acknowledged", "pending"], "pending"], undefined] });
    const lacking = batchOf(13, 16, { splits: [undefined, [["pending", "acknowledged"], "acknowledged"]] });
    assert.deepEqual(scan([taken.entry])[1]?.batch?.acknowledged, [true, false]);
    assert.deepEqual(scan([lacking.entry])[1]?.batch?.acknowledged, [false, false]);
  });

  test("of a batch with a record that can't be read now, only who has it whole is known", () => {
    const one = batchOf(10, 12, { acknowledged: [true, false] });
    const two = batchOf(13, 16, { acknowledged: [false, true] });
    assert.deepEqual(views(scan([one.entry, two.entry], PHONE, [14, 17])), [
      [10, 1_010, one.key, [true, false]],
      [13, 1_013, null, [null, true]],
      [15, 1_015, null, [null, true]],
    ]);
  });

  test("acknowledgements of another body are nobody's", () => {
    const { entry, key } = batchOf(13, 16, { acknowledged: [true, true] });
    const other = { ...entry, digest: (entry.digest + 1) % 4_096 };
    assert.deepEqual(scan([other])[1]?.batch, { key, settled: false, acknowledged: [false, false] });
  });

  test("a batch whose last records are gone is known by those that are left", () => {
    const { entry, key } = batchOf(15, 17);
    const found = scan([{ ...entry, last: 40 }]);
    assert.deepEqual(
      found.map(({ offset }) => offset),
      [10, 13, 15, 17],
    );
    assert.equal(found.at(-1)?.batch?.key, key, "cut as far as records go, as the relay would");
  });
});
