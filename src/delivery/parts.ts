import { type Batch, type BatchScope, type Slice, sliceOf } from "../batching/batch.ts";
import {
  cutToSize,
  type EntryRange,
  pendingPieces,
  replacePiece,
  type Split,
  splitByOutcome,
} from "../batching/split.ts";
import type { Answer, EntryOutcome } from "./dialects/dialect.ts";

/** What became of the entries `from` (inclusive) to `to` (exclusive) of a batch at one environment. */
export interface PartOutcome extends EntryRange {
  accepted: boolean;
  /** Null if no request was made. */
  httpStatus: number | null;
  requestId: string | null;
  /** Why the entries were refused, where the status alone doesn't say it. */
  detail: string | null;
  /** Milliseconds since the epoch. */
  answeredAt: number;
  /** Requests that carried exactly these entries. */
  attempts: number;
}

/** A batch to be delivered to one environment. */
export interface Delivery {
  scope: BatchScope;
  batch: Batch;
  /** How far the environment is with it, as the ledger has it. */
  split: Split;
  /**
   * The split has changed. With `recorded`, pieces of it wait: they are sent once that is called, when the ledger has the
   * split. Else a crash could send the whole again, and entries twice under different keys.
   */
  onSplit(split: Split, recorded?: () => void): void;
  /**
   * Gets the outcome of every entry that `split` has as pending at first, in parts. Called once, and not after the lane was
   * reset.
   */
  done(parts: PartOutcome[]): void;
}

/** A delivery under way, and what is known of its entries so far. */
interface Job extends Delivery {
  split: Split;
  outcomes: PartOutcome[];
  /** Entries without an outcome yet. */
  left: number;
}

/** A batch, or a piece of one that was split: what one request carries. */
export interface Part extends Readonly<EntryRange> {
  readonly job: Job;
  readonly slice: Slice;
  attempts: number;
  /** The last answer was a 401; a second one in a row is taken as a refusal of the credentials. */
  wasUnauthorized: boolean;
}

const partOf = (job: Job, { from, to }: EntryRange): Part => ({
  job,
  from,
  to,
  slice: sliceOf(job.scope, job.batch, from, to),
  attempts: 0,
  wasUnauthorized: false,
});

const sizeOf = ({ from, to }: EntryRange): number => to - from;

const shifted = (ranges: readonly EntryRange[], by: number): EntryRange[] =>
  ranges.map(({ from, to }) => ({ from: from + by, to: to + by }));

/** What there is to send of a batch, in requests of at most so many entries. Nothing to send ends the delivery. */
export function partsOf(delivery: Delivery, maxEntries: number): Part[] {
  const count = delivery.batch.entries.length;
  const split = cutToSize(delivery.split, count, maxEntries);
  const pieces = pendingPieces(split, count);
  const left = pieces.reduce((sum, piece) => sum + sizeOf(piece), 0);
  const job = { ...delivery, split, outcomes: [], left };
  if (left === 0) job.done([]);
  return pieces.map((piece) => partOf(job, piece));
}

export const partitionOf = (part: Part): number => part.job.batch.partition;

export const isSingle = (part: Part): boolean => sizeOf(part) <= 1;

const setSplit = ({ job, from, to }: Part, by: Split): void => {
  job.split = replacePiece(job.split, job.batch.entries.length, { from, to }, by);
};

/**
 * Splits a part in halves, or by what was said of its entries. The parts that take its place are handed over once the split
 * is recorded; those entries that needn't be sent again are for `finishEntries`.
 */
export function splitPart(
  part: Part,
  outcomes: readonly EntryOutcome[] | undefined,
  recorded: (parts: Part[]) => void,
): void {
  const { job, from } = part;
  const by: Split =
    outcomes === undefined ? ["pending", "pending"] : splitByOutcome<EntryOutcome>(outcomes, "taken");
  const pieces = pendingPieces(by, sizeOf(part)).filter((piece) => outcomes?.[piece.from] !== "refused");
  setSplit(part, by);
  if (pieces.length === 0) job.onSplit(job.split);
  else job.onSplit(job.split, () => recorded(shifted(pieces, from).map((piece) => partOf(job, piece))));
}

const addOutcome = (part: Part, range: EntryRange, answer: Answer, accepted: boolean): void => {
  const { job, attempts } = part;
  const { httpStatus, requestId, detail = null } = answer;
  job.outcomes.push({
    ...range,
    accepted,
    httpStatus,
    requestId,
    detail: accepted ? null : detail,
    answeredAt: Date.now(),
    attempts,
  });
  job.left -= sizeOf(range);
};

const endIfDone = ({ job }: Part): void => {
  if (job.left === 0) job.done(job.outcomes);
};

/** Records the environment's last word on all entries of a part, and hands over the outcomes when no entry is left. */
export function finishPart(part: Part, answer: Answer, accepted: boolean): void {
  const { job, from, to } = part;
  addOutcome(part, { from, to }, answer, accepted);
  if (accepted && job.split !== "pending") {
    setSplit(part, "acknowledged");
    job.onSplit(job.split);
  }
  endIfDone(part);
}

/** Records what was said of those entries that needn't be sent again. */
export function finishEntries(part: Part, outcomes: readonly EntryOutcome[], answer: Answer): void {
  for (let start = 0; start < outcomes.length; ) {
    const outcome = outcomes[start];
    let end = start + 1;
    while (end < outcomes.length && outcomes[end] === outcome) end++;
    const range = { from: part.from + start, to: part.from + end };
    if (outcome !== "retry") addOutcome(part, range, answer, outcome === "taken");
    start = end;
  }
  endIfDone(part);
}
