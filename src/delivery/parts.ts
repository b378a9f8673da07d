import type { Context } from "@opentelemetry/api";
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
  /** Requests for these entries since they were last split off; 0 if none was made. */
  attempts: number;
}

/** How a batch's requests are told apart from others' in traces and logs. */
export interface DeliveryTrace {
  /** What the spans of its requests are children in. */
  readonly context: Context;
  /** Fields of log lines about it. */
  readonly ids: Readonly<Record<string, string>>;
}

/** A batch to be delivered to one environment. */
export interface Delivery {
  scope: BatchScope;
  batch: Batch;
  trace?: DeliveryTrace | undefined;
  /** How far the environment is with it, as the ledger has it. */
  split: Split;
  /**
   * The split has changed. With `recorded`, pieces of it wait: they are sent once that is called, when a ledger with the
   * split is committed. Else a crash could send the whole again, and entries twice under different keys.
   */
  onSplit(split: Split, recorded?: () => void): void;
  /**
   * Gets the outcome of every entry that `split` has as pending at first, in parts. Called once, and not after the lane was
   * reset.
   */
  done(parts: PartOutcome[]): void;
}

/** The environment had its last word on entries of this part's batch. */
type OnAnswered = (part: Part, range: EntryRange) => void;

/** A delivery under way, and what is known of its entries so far. */
interface Job extends Delivery {
  onAnswered: OnAnswered;
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
  /** Answers that said of all its entries that they weren't taken. */
  failures: number;
  /** Attempts that failed though the lane stayed open. */
  failuresWhileOpen: number;
  /** Others of the same request were taken, so that it is these entries that are at fault, not the environment. */
  readonly isSuspect: boolean;
}

const partOf = (job: Job, { from, to }: EntryRange, isSuspect = false): Part => ({
  job,
  from,
  to,
  slice: sliceOf(job.scope, job.batch, from, to),
  attempts: 0,
  failures: 0,
  failuresWhileOpen: 0,
  isSuspect,
});

const sizeOf = ({ from, to }: EntryRange): number => to - from;

const shifted = (ranges: readonly EntryRange[], by: number): EntryRange[] =>
  ranges.map(({ from, to }) => ({ from: from + by, to: to + by }));

/** What there is to send of a batch, in requests of at most so many entries. Nothing to send ends the delivery. */
export function partsOf(delivery: Delivery, maxEntries: number, onAnswered: OnAnswered): Part[] {
  const count = delivery.batch.entries.length;
  const split = cutToSize(delivery.split, count, maxEntries);
  const pieces = pendingPieces(split, count);
  const left = pieces.reduce((sum, piece) => sum + sizeOf(piece), 0);
  const { scope, batch, trace, onSplit, done } = delivery;
  const job = { scope, batch, trace, onSplit, done, onAnswered, split, outcomes: [], left };
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
  const kinds = outcomes?.map(({ kind }) => kind);
  const by: Split = kinds === undefined ? ["pending", "pending"] : splitByOutcome(kinds, "taken");
  const isSuspect = part.isSuspect || kinds?.includes("taken") === true;
  const pieces = pendingPieces(by, sizeOf(part)).filter((piece) => kinds?.[piece.from] !== "refused");
  setSplit(part, by);
  if (pieces.length === 0) job.onSplit(job.split);
  else {
    job.onSplit(job.split, () =>
      recorded(shifted(pieces, from).map((piece) => partOf(job, piece, isSuspect))),
    );
  }
}

const addOutcome = (part: Part, outcome: PartOutcome): void => {
  const { job } = part;
  job.outcomes.push(outcome);
  job.left -= sizeOf(outcome);
  job.onAnswered(part, outcome);
};

const endIfDone = ({ job }: Part): void => {
  if (job.left === 0) job.done(job.outcomes);
};

/** Records the environment's last word on all entries of a part, and hands over the outcomes when no entry is left. */
export function finishPart(part: Part, answer: Answer, accepted: boolean): void {
  const { job, from, to, attempts } = part;
  const { httpStatus, requestId } = answer;
  const detail = accepted ? null : (answer.detail ?? null);
  const answeredAt = Date.now();
  addOutcome(part, { from, to, accepted, httpStatus, requestId, detail, answeredAt, attempts });
  if (accepted && job.split !== "pending") {
    setSplit(part, "acknowledged");
    job.onSplit(job.split);
  }
  endIfDone(part);
}

/** Records what was said of those entries that needn't be sent again. */
export function finishEntries(part: Part, outcomes: readonly EntryOutcome[], answer: Answer): void {
  const { attempts } = part;
  const { httpStatus, requestId } = answer;
  outcomes.forEach((outcome, index) => {
    if (outcome.kind === "retry") return;
    const isUnsent = outcome.kind === "refused" && !outcome.sent;
    addOutcome(part, {
      from: part.from + index,
      to: part.from + index + 1,
      accepted: outcome.kind === "taken",
      httpStatus: isUnsent ? null : httpStatus,
      requestId: isUnsent ? null : requestId,
      detail: outcome.kind === "refused" ? outcome.detail : null,
      answeredAt: Date.now(),
      attempts: isUnsent ? 0 : attempts,
    });
  });
  endIfDone(part);
}
