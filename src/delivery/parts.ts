import { type Batch, type BatchScope, type Slice, sliceOf } from "../batching/batch.ts";
import type { Answer } from "./dialects/dialect.ts";

/** What became of the entries `from` (inclusive) to `to` (exclusive) of a batch at one environment. */
export interface PartOutcome {
  from: number;
  to: number;
  accepted: boolean;
  httpStatus: number;
  requestId: string | null;
  /** Milliseconds since the epoch. */
  answeredAt: number;
  /** Requests that carried exactly these entries. */
  attempts: number;
}

/** Gets the outcome of every entry, in parts that cover the batch. */
export type Done = (parts: PartOutcome[]) => void;

/** A batch to be delivered to one environment, and what is known of its entries so far. */
interface Job {
  scope: BatchScope;
  batch: Batch;
  done: Done;
  outcomes: PartOutcome[];
  /** Entries without an outcome yet. */
  left: number;
}

/** A batch, or a piece of one that was split: what one request carries. */
export interface Part {
  readonly job: Job;
  readonly from: number;
  readonly to: number;
  readonly slice: Slice;
  attempts: number;
  /** The last answer was a 401; a second one in a row is taken as a refusal of the credentials. */
  wasUnauthorized: boolean;
}

const partOf = (job: Job, from: number, to: number): Part => ({
  job,
  from,
  to,
  slice: sliceOf(job.scope, job.batch, from, to),
  attempts: 0,
  wasUnauthorized: false,
});

/** The batch as one part. */
export function wholePart(scope: BatchScope, batch: Batch, done: Done): Part {
  const left = batch.entries.length;
  return partOf({ scope, batch, done, outcomes: [], left }, 0, left);
}

export const partitionOf = (part: Part): number => part.job.batch.partition;

export const isSingle = (part: Part): boolean => part.to - part.from <= 1;

/** The two parts that take the place of a part of several entries. */
export function halvesOf({ job, from, to }: Part): [Part, Part] {
  const middle = (from + to) >> 1;
  return [partOf(job, from, middle), partOf(job, middle, to)];
}

/** Records the environment's last word on these entries, and hands over the outcomes when no entry is left. */
export function finishPart(part: Part, answer: Answer, accepted: boolean): void {
  const { job, from, to, attempts } = part;
  const { httpStatus, requestId } = answer;
  job.outcomes.push({ from, to, accepted, httpStatus, requestId, answeredAt: Date.now(), attempts });
  job.left -= to - from;
  if (job.left === 0) job.done(job.outcomes);
}
