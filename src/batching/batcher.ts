import type { Decoded } from "../events/event.ts";
import {
  type Batch,
  type BatchBuilder,
  type BatchScope,
  createBatchBuilder,
  type SourceRecord,
} from "./batch.ts";

export interface BatchLimits {
  /** Most distinct phones in a batch. */
  maxEntries: number;
  /** Longest an event waits in an open batch, in milliseconds. */
  maxWait: number;
  /** Largest body, in bytes. */
  maxBytes: number;
}

export type SealTrigger = "entries" | "bytes" | "events" | "time";

/** Rejected and repeated events add no entry, so a range is also bounded by this many events per allowed entry. */
const EVENTS_PER_ENTRY = 4;

export interface CutBatch {
  batch: Batch;
  trigger: SealTrigger;
}

/**
 * Cuts a partition's events into batches. Pure: the clock is an argument.
 *
 * An event that would overflow the body is not taken by `add` until the open batch is cut, so every call to `add` is
 * preceded by `cutBefore`, and followed by `cutAfter`.
 */
export interface Batcher {
  readonly openEvents: number;
  readonly openEntries: number;
  /** When the open batch must be cut, in the clock's milliseconds; undefined while empty. */
  readonly deadline: number | undefined;
  oldestAskedAt(): number;
  /** The reason to cut the open batch before this event joins it, if there is one. */
  cutBefore(decoded: Decoded): SealTrigger | undefined;
  add(record: SourceRecord, decoded: Decoded, now: number): void;
  /** The reason to cut the open batch now, if there is one. */
  cutAfter(now: number): SealTrigger | undefined;
  /** Offset of the first event of the open batch. */
  readonly first: number | undefined;
  /** Fixes the open batch and starts a new one. */
  cut(): Batch;
}

export function createBatcher(scope: BatchScope, limits: BatchLimits): Batcher {
  let open: BatchBuilder = createBatchBuilder(scope);
  let openedAt = 0;

  return {
    get openEvents() {
      return open.events;
    },
    get openEntries() {
      return open.entries;
    },
    get first() {
      return open.first;
    },
    get deadline() {
      return open.events === 0 ? undefined : openedAt + limits.maxWait;
    },
    oldestAskedAt: () => open.oldestAskedAt(),
    cutBefore(decoded) {
      return open.events > 0 && open.bytes + open.growth(decoded) > limits.maxBytes ? "bytes" : undefined;
    },
    add(record, decoded, now) {
      if (open.events === 0) openedAt = now;
      open.add(record, decoded);
    },
    cutAfter(now) {
      if (open.events === 0) return undefined;
      if (open.entries >= limits.maxEntries) return "entries";
      if (open.bytes >= limits.maxBytes) return "bytes";
      if (open.events >= limits.maxEntries * EVENTS_PER_ENTRY) return "events";
      return now >= openedAt + limits.maxWait ? "time" : undefined;
    },
    cut() {
      const batch = open.build();
      open = createBatchBuilder(scope);
      return batch;
    },
  };
}
