import { adviceOn } from "../console/advice.ts";
import type { Environment } from "../delivery/environment.ts";
import type { LaneState, PartOutcome } from "../delivery/lane.ts";
import { rfc3339 } from "../events/timestamp.ts";
import type { Activity } from "./activity.ts";
import { isAnswered, type SealedBatch } from "./sealed-batch.ts";
import type { Slot } from "./slot.ts";
import { lagOf, metricsSource } from "./source.ts";
import type { BatchMark, BatchView, ClosureView, PartitionView, RelayState } from "./state-view.ts";

export type { RelayState } from "./state-view.ts";

/** More than these are counted, not listed: a page that is open asks for the state each second. */
export const LIMITS = {
  partitions: 128,
  /** Of one partition; a line on a wide screen has room for no more. */
  batches: 240,
  /** Of all partitions together. */
  allBatches: 1_000,
};

/** With 64 environments of the longest names, each closed, and as many partitions and batches as are listed. */
export const MAX_STATE_BYTES = 384 * 1024;

export interface StateSource
  extends Omit<
    RelayState,
    "now" | "startedAt" | "environments" | "partitions" | "partitionsNotShown" | "unread"
  > {
  /** Milliseconds since the epoch. */
  now: number;
  startedAt: number;
  slots: ReadonlyMap<number, Slot>;
  environments: readonly Environment[];
  /** Of the environments, in the same order. */
  activities: readonly Activity[];
}

/** Looks at batches, never at their events. */
export function relayState(source: StateSource): RelayState {
  const { now, startedAt, slots, environments, activities, ...rest } = source;
  const figures = metricsSource(() => slots, environments).environments();
  const shown = shownSlots([...slots.values()]);
  const batchesOfEach = Math.min(LIMITS.batches, Math.floor(LIMITS.allBatches / Math.max(1, shown.length)));
  return {
    ...rest,
    now: rfc3339(now),
    startedAt: rfc3339(startedAt),
    environments: environments.map(({ lane }, index) => {
      const { closure, ...state } = lane.state();
      const { pendingEntries = 0, oldestPendingAt } = figures[index] ?? {};
      return {
        name: lane.name,
        ...state,
        closure: closure && closureView(closure),
        waiting: pendingEntries,
        oldestAskedAt: oldestPendingAt === undefined ? null : rfc3339(oldestPendingAt),
        ...(activities[index]?.view() ?? { requests: 0, attempts: {} }),
      };
    }),
    partitions: shown.map((slot) => partitionView(slot, environments.length, batchesOfEach)),
    partitionsNotShown: slots.size - shown.length,
    unread: [...slots.values()].reduce((sum, slot) => sum + unreadOf(slot), 0),
  };
}

/** The end of the partition is looked at from time to time, so reading may be ahead of what is known of it. */
const unreadOf = ({ partition, highWatermark }: Slot): number =>
  highWatermark === undefined ? 0 : Math.max(0, highWatermark - partition.position);

function shownSlots(slots: Slot[]): Slot[] {
  const byNumber = (one: Slot, other: Slot) => one.partition.number - other.partition.number;
  const byPending = (one: Slot, other: Slot) => other.partition.pendingEvents - one.partition.pendingEvents;
  if (slots.length <= LIMITS.partitions) return slots.sort(byNumber);
  return slots.sort(byPending).slice(0, LIMITS.partitions).sort(byNumber);
}

function partitionView(slot: Slot, environmentCount: number, batches: number): PartitionView {
  const { partition, paused } = slot;
  const { committedOffset, sealed } = partition;
  const unanswered = new Array<number>(environmentCount).fill(0);
  for (const batch of sealed) {
    batch.outcomes.forEach((outcome, environment) => {
      if (isUnanswered(batch, outcome)) unanswered[environment] = (unanswered[environment] ?? 0) + 1;
    });
  }
  return {
    partition: partition.number,
    committedOffset,
    position: partition.position,
    lag: lagOf(slot) ?? null,
    sealedBatches: sealed.length,
    pendingEvents: partition.pendingEvents,
    ledgerUsedRatio: Number(partition.ledgerUsedRatio.toFixed(4)),
    paused,
    pausedFor: !paused ? null : partition.paused ? "room" : "schema",
    unrecordedFrom: sealed.find(({ recorded }) => !recorded)?.first ?? null,
    unpublishedFrom: sealed.find(isUnpublished)?.first ?? null,
    unanswered,
    batches: sealed.slice(0, batches).map(batchView),
  };
}

type Outcome = SealedBatch["outcomes"][number];

const isUnanswered = ({ settled, batch }: SealedBatch, outcome: Outcome): boolean =>
  outcome === undefined && !settled && batch.entries.length > 0;

const isUnpublished = (batch: SealedBatch): boolean => batch.recorded && !batch.settled && isAnswered(batch);

const batchView = (sealed: SealedBatch): BatchView => ({
  first: sealed.first,
  last: sealed.last,
  entries: sealed.batch.entries.length,
  marks: sealed.outcomes.map((outcome, environment) => markOf(sealed, outcome, environment)).join(""),
});

function markOf(sealed: SealedBatch, outcome: Outcome, environment: number): BatchMark {
  if (sealed.settledEarlier) return "d";
  if (isUnanswered(sealed, outcome)) return Array.isArray(sealed.splits[environment]) ? "s" : "w";
  if (outcome === undefined) return "n";
  if (outcome === "earlier") return "a";
  return outcome.every(({ accepted }: PartOutcome) => accepted) ? "a" : "r";
}

const closureView = ({ reason, since, until }: NonNullable<LaneState["closure"]>): ClosureView => ({
  reason,
  since: rfc3339(since),
  until: until === null ? null : rfc3339(until),
  ...adviceOn(reason),
});
