import type { Batch } from "../batching/batch.ts";
import type { LedgerBatch } from "../batching/ledger.ts";
import type { PartOutcome } from "../delivery/lane.ts";

/**
 * A sealed batch on its way.
 *
 *   sealed ── the commit that carries it ──► recorded ── every environment answered ──► answered
 *     ── statuses published ──► settled ── all before it settled ──► behind the committed offset
 *
 * A batch rebuilt from the ledger starts as recorded.
 */
export interface SealedBatch extends LedgerBatch {
  readonly batch: Batch;
  /** It is in the committed ledger, so it may be sent. */
  recorded: boolean;
  /**
   * By environment, in the configuration's order: undefined while unanswered; "earlier" if an earlier owner of the partition
   * got the acknowledgement and only the ledger knows.
   */
  readonly outcomes: (readonly PartOutcome[] | "earlier" | undefined)[];
}

export function sealedBatch(batch: Batch, environmentCount: number): SealedBatch {
  return {
    batch,
    first: batch.first,
    last: batch.last,
    recorded: false,
    settled: false,
    acknowledged: new Array(environmentCount).fill(false),
    outcomes: new Array(environmentCount).fill(undefined),
  };
}

/** The same batch again, with what the ledger says of it. Recorded only if it still is the very range of the ledger. */
export function rebuiltBatch(batch: Batch, entry: Readonly<LedgerBatch>): SealedBatch {
  return {
    batch,
    first: batch.first,
    last: batch.last,
    recorded: batch.first === entry.first && batch.last === entry.last,
    // One environment more than when it was settled: it isn't settled any more.
    settled: entry.settled && entry.acknowledged.every(Boolean),
    acknowledged: [...entry.acknowledged],
    outcomes: entry.acknowledged.map((flag) => (flag ? "earlier" : undefined)),
  };
}

export const isAnswered = (sealed: SealedBatch): boolean =>
  sealed.batch.entries.length === 0 || sealed.outcomes.every((outcome) => outcome !== undefined);

/**
 * Takes an environment's answer. Only a batch that it took whole counts as acknowledged in the ledger: after a crash, a
 * refused entry must be refused again, since the refusal isn't recorded anywhere before its status is published.
 */
export function answer(sealed: SealedBatch, environment: number, parts: readonly PartOutcome[]): void {
  sealed.outcomes[environment] = parts;
  sealed.acknowledged[environment] = parts.every(({ accepted }) => accepted);
}

export function settle(sealed: SealedBatch): void {
  sealed.settled = true;
  sealed.acknowledged.fill(true);
}
