import fc from "fast-check";
import {
  type Batch,
  type BatchScope,
  createBatchBuilder,
  type SourceRecord,
} from "../../src/batching/batch.ts";
import type { BatchLimits, CutBatch } from "../../src/batching/batcher.ts";
import { createBatcher } from "../../src/batching/batcher.ts";
import type { Decoded } from "../../src/events/event.ts";

export const SCOPE: BatchScope = { clusterId: "cluster-1", topic: "opt-out-events", partition: 3 };

export interface Input {
  record: SourceRecord;
  decoded: Decoded;
  /** When the batcher sees it, in milliseconds. */
  now: number;
}

export const recordAt = (offset: number, timestamp = 1_700_000_000_000 + offset): SourceRecord => ({
  offset,
  timestamp,
  key: null,
  value: Buffer.from(String(offset)),
  headers: {},
});

export interface Wish {
  phone: string;
  expiresAt?: string | null;
  source?: string;
  occurredAt?: string | null;
}

export const optOut = ({ phone, expiresAt = null, source = "web", occurredAt = null }: Wish): Decoded => ({
  ok: true,
  event: {
    phone,
    type: expiresAt === null ? "dncl" : "dncl_expiration",
    expiresAt,
    source,
    eventId: null,
    occurredAt,
  },
});

export const rejected: Decoded = {
  ok: false,
  reason: "invalid_phone",
  detail: "no phone",
  eventId: null,
  source: "web",
  occurredAt: null,
};

export const phoneOf = (index: number): string => `+1212555${String(index).padStart(4, "0")}`;

export const build = (events: readonly Input[], scope = SCOPE): Batch => {
  const builder = createBatchBuilder(scope);
  for (const { record, decoded } of events) builder.add(record, decoded);
  return builder.build();
};

export const batchOf = (...wishes: (Wish | Decoded)[]): Batch =>
  build(
    wishes.map((wish, index) => ({
      record: recordAt(index),
      decoded: "ok" in wish ? wish : optOut(wish),
      now: 0,
    })),
  );

const phone = fc.integer({ min: 0, max: 30 }).map(phoneOf);

/** Dates a day or an hour apart, some of them in another spelling of the same time. */
const expiresAt = fc
  .record({ day: fc.integer({ min: 1, max: 28 }), offset: fc.constantFrom("Z", "+02:00", "-05:00") })
  .map(({ day, offset }) => `2030-01-${String(day).padStart(2, "0")}T12:00:00${offset}`);

const source = fc.constantFrom("web", "ivr", "x", "s".repeat(64));

const decoded: fc.Arbitrary<Decoded> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ phone, source, expiresAt: fc.option(expiresAt, { nil: null }) }).map(optOut),
  },
  { weight: 1, arbitrary: fc.constant(rejected) },
);

/** Events of one partition: offsets rise, with gaps, and so does the clock. */
export const inputs = (maxLength = 200): fc.Arbitrary<Input[]> =>
  fc
    .array(
      fc.record({
        decoded,
        gap: fc.oneof(
          { weight: 6, arbitrary: fc.constant(0) },
          { weight: 1, arbitrary: fc.integer({ min: 1, max: 1000 }) },
        ),
        pause: fc.integer({ min: 0, max: 400 }),
      }),
      { minLength: 1, maxLength },
    )
    .map((steps) => {
      let offset = -1;
      let now = 0;
      return steps.map((step) => {
        offset += 1 + step.gap;
        now += step.pause;
        return { record: recordAt(offset), decoded: step.decoded, now };
      });
    });

export const limits: fc.Arbitrary<BatchLimits> = fc.record({
  maxEntries: fc.integer({ min: 1, max: 12 }),
  maxWait: fc.integer({ min: 1, max: 2_000 }),
  maxBytes: fc.integer({ min: 60, max: 2_000 }),
});

/** Drives a batcher as a partition does: `cutBefore`, `add`, `cutAfter`, and the deadline between events. */
export function cutAll(scope: BatchScope, bounds: BatchLimits, events: readonly Input[]): CutBatch[] {
  const batcher = createBatcher(scope, bounds);
  const cuts: CutBatch[] = [];
  const cutIf = (trigger: CutBatch["trigger"] | undefined): void => {
    if (trigger !== undefined) cuts.push({ batch: batcher.cut(), trigger });
  };
  for (const { record, decoded: what, now } of events) {
    if (batcher.deadline !== undefined && now >= batcher.deadline) cutIf(batcher.cutAfter(batcher.deadline));
    cutIf(batcher.cutBefore(what));
    batcher.add(record, what, now);
    cutIf(batcher.cutAfter(now));
  }
  if (batcher.openEvents > 0) cutIf(batcher.cutAfter(Number.POSITIVE_INFINITY));
  return cuts;
}

export const offsetsOf = (batch: Batch): number[] => batch.events.map(({ record }) => record.offset);
