import { type Batch, ledgerDigest } from "../batching/batch.ts";
import type { LedgerBatch } from "../batching/ledger.ts";
import { isSplitOf, type Split } from "../batching/split.ts";
import type { PartOutcome } from "../delivery/lane.ts";

/**
 * A sealed batch on its way.
 *
 *   sealed ── the commit that carries it ──► recorded ── every environment answered ──► answered
 *     ── statuses published ──► settled ── all before it settled ──► behind the committed offset
 *
 * A batch rebuilt from the ledger starts as recorded. A settled one stays settled, whatever the configuration or the records'
 * reading has become since: its outcome is published.
 */
export interface SealedBatch extends LedgerBatch {
  /** Emptied once settled: only its range is needed from then on. */
  batch: Batch;
  /** It is in the committed ledger, so it may be sent. */
  recorded: boolean;
  /** An earlier owner of the partition settled it: what the environments answered isn't known here any more. */
  readonly settledEarlier: boolean;
  /**
   * By environment, in the configuration's order: undefined while unanswered; "earlier" if an earlier owner of the partition
   * got the acknowledgement and only the ledger knows.
   */
  readonly outcomes: (readonly PartOutcome[] | "earlier" | undefined)[];
  /** By environment: how far it is, if it has the batch in pieces. */
  readonly splits: (Split | undefined)[];
}

export function sealedBatch(batch: Batch, environmentCount: number): SealedBatch {
  return {
    batch,
    first: batch.first,
    last: batch.last,
    digest: ledgerDigest(batch),
    recorded: false,
    settledEarlier: false,
    settled: false,
    acknowledged: new Array(environmentCount).fill(false),
    outcomes: new Array(environmentCount).fill(undefined),
    splits: new Array(environmentCount).fill(undefined),
  };
}

/**
 * The same batch again, with what the ledger says of it: nothing, if its body isn't the one that was sent. Recorded only if
 * it still is the very batch of the ledger.
 */
export function rebuiltBatch(batch: Batch, entry: Readonly<LedgerBatch>): SealedBatch {
  const fresh = sealedBatch(batch, entry.acknowledged.length);
  const isSameBody = fresh.digest === entry.digest;
  const flags = entry.settled || isSameBody ? entry.acknowledged : fresh.acknowledged;
  const isSameBatch = isSameBody && batch.first === entry.first && batch.last === entry.last;
  return {
    ...fresh,
    recorded: isSameBatch,
    settledEarlier: entry.settled,
    settled: entry.settled,
    acknowledged: [...flags],
    outcomes: flags.map((flag) => (flag || entry.settled ? "earlier" : undefined)),
    // The keys of its pieces follow from its range.
    splits: fresh.splits.map((_, environment) => {
      const split = isSameBatch ? entry.splits?.[environment] : undefined;
      return split !== undefined && isSplitOf(split, batch.entries.length) ? split : undefined;
    }),
  };
}

export const isAnswered = (sealed: SealedBatch): boolean =>
  sealed.settled ||
  sealed.batch.entries.length === 0 ||
  sealed.outcomes.every((outcome) => outcome !== undefined);

/**
 * Takes an environment's answer. Only a batch that it took whole counts as acknowledged in the ledger: after a crash, a
 * refused entry must be refused again, since the refusal isn't recorded anywhere before its status is published. What else
 * it took, the split says.
 */
export function answer(sealed: SealedBatch, environment: number, parts: readonly PartOutcome[]): void {
  sealed.outcomes[environment] = parts;
  sealed.acknowledged[environment] = parts.every(({ accepted }) => accepted);
}

const NO_BYTES = Buffer.alloc(0);

/** A settled batch may wait long behind one that isn't, so it must not hold its records until then. */
export function settle(sealed: SealedBatch): void {
  sealed.settled = true;
  sealed.acknowledged.fill(true);
  sealed.splits.fill(undefined);
  sealed.batch = { ...sealed.batch, events: [], entries: [], entryOffsets: [], body: NO_BYTES };
}
