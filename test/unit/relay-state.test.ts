import assert from "node:assert/strict";
import { test } from "node:test";
import type { Environment } from "../../src/delivery/environment.ts";
import { REJECT_REASONS } from "../../src/events/event.ts";
import type { Activity } from "../../src/relay/activity.ts";
import type { Partition } from "../../src/relay/partition.ts";
import { RECENT } from "../../src/relay/recent.ts";
import { rebuiltBatch, type SealedBatch, sealedBatch } from "../../src/relay/sealed-batch.ts";
import type { Slot } from "../../src/relay/slot.ts";
import { LIMITS, MAX_STATE_BYTES, relayState, type StateSource } from "../../src/relay/state.ts";
import { build } from "./batching-arbitraries.ts";
import { optOut, part, phoneOf, recordAt } from "./relay-partition-fixture.ts";

const environment = (name: string): Environment =>
  ({
    lane: {
      name,
      state: () => ({
        ...{ queued: 4_999, inFlight: 64, waitingForRetry: 64, concurrencyLimit: 64 },
        ...{ requestsPerSecond: 1_230, quotaShare: 1_230 },
        closure: { reason: "token_unavailable", since: 1_700_000_000_000, until: 1_700_000_030_000 },
      }),
    },
  }) as unknown as Environment;

const slot = (number: number, sealed: readonly SealedBatch[], pendingEvents = 0): Slot => {
  const partition: Partial<Partition> = {
    ...{ number, sealed, pendingEvents, committedOffset: 10, position: 20, paused: true },
    ...{ ledgerUsedRatio: 0.12345, openEntries: () => 0, openOldestAskedAt: () => Number.POSITIVE_INFINITY },
  };
  return { partition, paused: true, highWatermark: 25 } as unknown as Slot;
};

const batch = (offset: number, environments: number): SealedBatch =>
  sealedBatch(
    build([{ record: recordAt(offset), decoded: optOut({ phone: phoneOf(1) }), now: 0 }]),
    environments,
  );

/** Every outcome there is, often. */
const busy: Activity = {
  started() {},
  ended() {},
  view: () => ({
    requests: 999_999,
    attempts: {
      ...{ acknowledged: 999_999, entries: 999_999, short: 999_999, refused: 999_999 },
      ...{ unauthorized: 999_999, misconfigured: 999_999, unavailable: 999_999, error: 999_999 },
    },
  }),
};

const stateOf = (
  slots: readonly Slot[],
  environments: readonly Environment[],
  more: Partial<StateSource> = {},
) =>
  relayState({
    ...{ version: "1.2.3", topic: "events", groupId: "relay", now: 1_700_000_100_000, startedAt: 0 },
    ...{ phase: "active", live: { ok: true }, ready: { ok: true }, environments, activities: [] },
    slots: new Map(slots.map((each) => [each.partition.number, each])),
    ...{ outcomes: { delivered: 0, rejected: 0, partially_delivered: 0 }, rejections: {} },
    ...{ settled: [], notDelivered: [], ...more },
  });

test("a batch's marks say how far each environment is with it", () => {
  const sealed = batch(10, 4);
  sealed.outcomes[0] = [part(0, 1)];
  sealed.outcomes[1] = [part(0, 1, false)];
  sealed.outcomes[2] = "earlier";
  const [view] = stateOf([slot(0, [sealed])], ["a", "b", "c", "d"].map(environment)).partitions;
  assert.deepEqual(view?.batches, [{ first: 10, last: 10, entries: 1, marks: "araw" }]);
  assert.deepEqual(view.unanswered, [0, 0, 0, 1]);
  assert.equal(view.lag, 15);
  assert.equal(view.pausedFor, "room");
});

test("a batch that was settled before this replica had it has a mark of its own: what was answered isn't known", () => {
  const { batch: built, first, last, digest } = batch(10, 2);
  const entry = { first, last, digest, acknowledged: [true, true], settled: true };
  const known = rebuiltBatch(built, { ...entry, settled: false });
  const state = stateOf([slot(0, [rebuiltBatch(built, entry), known])], ["a", "b"].map(environment));
  assert.deepEqual(
    state.partitions[0]?.batches.map(({ marks }) => marks),
    ["dd", "aa"],
  );
});

test("which batch waits for a commit, and which has its answers but isn't published yet", () => {
  const [waiting, answered, fresh] = [batch(10, 1), batch(11, 1), batch(12, 1)];
  waiting.recorded = true;
  answered.recorded = true;
  answered.outcomes[0] = [part(0, 1)];
  const viewOf = (...sealed: SealedBatch[]) => stateOf([slot(0, sealed)], [environment("a")]).partitions[0];
  const view = viewOf(waiting, answered, fresh);
  assert.deepEqual([view?.unpublishedFrom, view?.unrecordedFrom], [11, 12]);
  const usual = viewOf(waiting);
  assert.deepEqual([usual?.unpublishedFrom, usual?.unrecordedFrom], [null, null]);
});

test("what isn't read yet is summed over all partitions", () => {
  assert.equal(stateOf([slot(0, []), slot(1, [])], [environment("a")]).unread, 10);
});

test("however many partitions, batches and environments there are, it stays below its bound and counts the rest", () => {
  const environments = Array.from({ length: 64 }, (_, index) => environment(`${index}`.padEnd(63, "x")));
  const sealed = Array.from({ length: 300 }, (_, index) => batch(1_000_000_000_000 + index, 64));
  const slots = Array.from({ length: 2 * LIMITS.partitions }, (_, index) => slot(index, sealed, index));
  const at = "2026-01-01T00:00:00.000Z";
  const place = { at, partition: 2_147_483_647, first: 1_000_000_000_000, last: 1_000_000_000_000 };
  const outcomes = { delivered: 99_999, rejected: 99_999, partially_delivered: 99_999 };
  const refusedBy = environments.slice(0, 8).map(({ lane }) => lane.name);
  const state = stateOf(slots, environments, {
    settled: Array.from({ length: RECENT }, () => ({ ...place, outcomes, slowestMs: 999_999_999 })),
    notDelivered: Array.from({ length: RECENT }, () => ({
      ...{ at, partition: place.partition, offset: place.first },
      ...{ outcome: "partially_delivered" as const, reason: "refused_by_environment", refusedBy },
    })),
    activities: environments.map(() => busy),
    rejections: Object.fromEntries(REJECT_REASONS.map((reason) => [reason, 1_000_000_000])),
  });
  assert.ok(JSON.stringify(state).length < MAX_STATE_BYTES, `${JSON.stringify(state).length} bytes`);
  assert.equal(state.partitions.length, LIMITS.partitions);
  assert.equal(state.partitionsNotShown, LIMITS.partitions);
  // Those with the most unsettled events.
  assert.equal(state.partitions[0]?.partition, LIMITS.partitions);
  assert.equal(state.partitions[0]?.sealedBatches, 300);
  const listed = state.partitions.reduce((sum, { batches }) => sum + batches.length, 0);
  assert.ok(listed > 0 && listed <= LIMITS.allBatches, `${listed}`);
  assert.equal(stateOf([slot(0, sealed)], environments).partitions[0]?.batches.length, LIMITS.batches);
});
