import {
  type Batch,
  type BatchBuilder,
  type BatchScope,
  createBatchBuilder,
  type SourceRecord,
} from "../batching/batch.ts";
import type { LedgerBatch } from "../batching/ledger.ts";
import type { Decoded } from "../events/event.ts";

/** Cuts exactly the ranges that a ledger holds, from the records read again after a crash or rebalance. */
export interface Recutter {
  /** No range is left to be cut. */
  readonly isDone: boolean;
  /** Ranges not complete yet, in offset order. */
  readonly ranges: readonly LedgerBatch[];
  /** In the range that was begun, unless it is settled or this environment has acknowledged it. */
  openEntries(environment: number): number;
  /** A range was begun and isn't complete. */
  readonly isWithinRange: boolean;
  /** Of the same events as `openEntries`; Infinity when there is none. */
  oldestAskedAt(environment: number): number;
  /** Takes the next record. A stray, which lies before the next range, isn't taken: the ledger doesn't cover it. */
  offer(record: SourceRecord, decoded: Decoded): { isStray: boolean };
  /** There is nothing to read before this offset. */
  advance(position: number): void;
  /** Batches complete since the last call. A range whose records are all gone gives none. */
  takeComplete(): { batch: Batch; entry: LedgerBatch }[];
}

export function createRecutter(scope: BatchScope, ledger: readonly LedgerBatch[]): Recutter {
  const ranges = [...ledger];
  let complete: { batch: Batch; entry: LedgerBatch }[] = [];
  let open: BatchBuilder = createBatchBuilder(scope);

  const finish = (): void => {
    const entry = ranges.shift();
    if (entry !== undefined && open.events > 0) complete.push({ batch: open.build(), entry });
    open = createBatchBuilder(scope);
  };

  const finishBefore = (offset: number): void => {
    while (ranges[0] !== undefined && ranges[0].last < offset) finish();
  };

  const isOpenAt = (environment: number): boolean =>
    !ranges[0]?.settled && !ranges[0]?.acknowledged[environment];

  return {
    get isDone() {
      return ranges.length === 0;
    },
    ranges,
    openEntries: (environment) => (isOpenAt(environment) ? open.entries : 0),
    get isWithinRange() {
      return open.events > 0;
    },
    oldestAskedAt: (environment) => (isOpenAt(environment) ? open.oldestAskedAt() : Number.POSITIVE_INFINITY),
    offer(record, decoded) {
      finishBefore(record.offset);
      const range = ranges[0];
      if (range === undefined || record.offset < range.first) return { isStray: true };
      open.add(record, decoded);
      if (record.offset === range.last) finish();
      return { isStray: false };
    },
    advance: finishBefore,
    takeComplete() {
      const taken = complete;
      complete = [];
      return taken;
    },
  };
}
