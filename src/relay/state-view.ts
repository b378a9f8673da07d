import type { AttemptOutcome, LaneState } from "../delivery/lane.ts";
import type { RejectReason } from "../events/event.ts";
import type { Health } from "../observability/server.ts";
import type { Assignment } from "./assignment.ts";
import type { EventOutcome } from "./result-messages.ts";

/**
 * What `/state` answers and the console shows: where everything stands in this replica. Without a phone, an idempotency key,
 * a secret or an environment's URL. Moments are RFC 3339.
 *
 * However much there is, it stays below `MAX_STATE_BYTES`: of lists only the first so many are given (the limits are
 * `LIMITS` in `state.ts`), with the count of the rest.
 */
export interface RelayState {
  version: string;
  /** The replica's clock, by which all other moments are to be judged. */
  now: string;
  startedAt: string;
  /** The events topic, and the consumer group. */
  topic: string;
  groupId: string;
  phase: Assignment["phase"] | "starting" | "draining" | "stopped";
  live: Health;
  ready: Health;
  /** In the configuration's order. */
  environments: EnvironmentView[];
  /** Those this replica owns, by number; if they are too many, those with the most unsettled events. */
  partitions: PartitionView[];
  partitionsNotShown: number;
  /** Records of all its partitions that it hasn't read yet, as far as it knows: who waits in them isn't counted anywhere else. */
  unread: number;
  /** What became of events since this replica started. */
  outcomes: Record<EventOutcome, number>;
  /** Events since this replica started that not every environment has, by reason; reasons that occurred. */
  rejections: Partial<Record<RejectReason, number>>;
  /** The last batches, newest first. */
  settled: SettledView[];
  /** The last events that not every environment has, newest first. */
  notDelivered: NotDeliveredView[];
}

export interface EnvironmentView extends Omit<LaneState, "closure"> {
  name: string;
  closure: ClosureView | null;
  /** Phones that it hasn't acknowledged, as far as this replica has read: in batches, and in those still open. */
  waiting: number;
  /** When the person who waits longest asked. */
  oldestAskedAt: string | null;
  /** Requests started in the last `REQUESTS_WITHIN_S` seconds. */
  requests: number;
  /** What came of requests in the last `ATTEMPTS_WITHIN_S` seconds; outcomes that occurred. */
  attempts: Partial<Record<AttemptOutcome, number>>;
}

/** Windows of `requests` and `attempts`, in seconds. */
export const REQUESTS_WITHIN_S = 10;
export const ATTEMPTS_WITHIN_S = 60;

/** Why a lane is closed, and what that takes. */
export interface ClosureView {
  reason: NonNullable<LaneState["closure"]>["reason"];
  since: string;
  /** When it is tried again: null if an operator has to resume it. */
  until: string | null;
  /** The reason in a sentence, what to do about it, and the heading in the runbook that says more. */
  message: string;
  advice: string;
  runbook: string;
}

export interface PartitionView {
  partition: number;
  committedOffset: number;
  /** The next offset to be read. */
  position: number;
  /** Records behind the committed offset; null while unknown. */
  lag: number | null;
  sealedBatches: number;
  pendingEvents: number;
  ledgerUsedRatio: number;
  paused: boolean;
  /** Why it isn't read further: too much of it is unsettled, or a schema is awaited. */
  pausedFor: "room" | "schema" | null;
  /** First offset of the oldest batch that isn't in the committed ledger yet, so it can't be sent; null if all are. */
  unrecordedFrom: number | null;
  /** First offset of the oldest batch that has all its answers, but whose outcome isn't published yet; null if none. */
  unpublishedFrom: number | null;
  /** How many of its sealed batches each environment has yet to answer, in the order of `environments`. */
  unanswered: number[];
  /** The oldest of its sealed batches; `sealedBatches` counts all. */
  batches: BatchView[];
}

export interface BatchView {
  first: number;
  last: number;
  /** Phones; 0 once it is settled, when it only waits for those before it. */
  entries: number;
  /** A letter of `BatchMark` for each environment, in the order of `environments`. */
  marks: string;
}

/**
 * How far an environment is with a batch: `w` not answered yet, `s` the same, in pieces, `a` acknowledged, `r` refused in
 * part or whole, `n` there is nothing in it to send, `d` settled before this replica had it, by whatever answers.
 */
export type BatchMark = "w" | "s" | "a" | "r" | "n" | "d";

export interface SettledView {
  at: string;
  partition: number;
  first: number;
  last: number;
  outcomes: Record<EventOutcome, number>;
  /** From when the person asked to the last acknowledgement, the longest of its delivered events; null if none is. */
  slowestMs: number | null;
}

export interface NotDeliveredView {
  at: string;
  partition: number;
  offset: number;
  outcome: Exclude<EventOutcome, "delivered">;
  reason: string;
  /** Environments that refused it; none if it was rejected before it got that far. */
  refusedBy: string[];
}
