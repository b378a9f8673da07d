import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { headlineOf } from "../../src/console/page/headline.ts";
import { createStandstills } from "../../src/console/page/reading.ts";
import type { EnvironmentView, PartitionView, State } from "../../src/console/page/state.ts";

const at = (seconds: number): string => new Date(1_700_000_000_000 + seconds * 1_000).toISOString();

const environment = (name: string, closure: EnvironmentView["closure"] = null): EnvironmentView => ({
  ...{ name, closure, waiting: 0, oldestAskedAt: null, requests: 0, attempts: {} },
  ...{ queued: 0, inFlight: 0, waitingForRetry: 0, concurrencyLimit: 8, requestsPerSecond: 8, quotaShare: 8 },
});

const closed = (reason: "paused" | "unavailable", runbook: string): EnvironmentView["closure"] => ({
  ...{ reason, since: at(-100), until: reason === "paused" ? null : at(100) },
  ...{ message: "M.", advice: "A.", runbook },
});

const partition = (change: Partial<PartitionView>): PartitionView => ({
  ...{ partition: 3, committedOffset: 0, position: 50, lag: 50, sealedBatches: 1, pendingEvents: 50 },
  ...{ ledgerUsedRatio: 0, paused: false, pausedFor: null, unrecordedFrom: null, unpublishedFrom: null },
  ...{ unanswered: [0], batches: [], ...change },
});

interface Seen {
  partitions?: Partial<PartitionView>[];
  environments?: EnvironmentView[];
  unread?: number;
}

const stateAt = (seconds: number, { partitions = [{}], environments, unread = 0 }: Seen): State => ({
  ...{ version: "1", now: at(seconds), startedAt: at(-1_000), topic: "events", groupId: "relay" },
  ...{ phase: "active", live: { ok: true }, ready: { ok: true }, unread, partitionsNotShown: 0 },
  environments: environments ?? [environment("us-west")],
  partitions: partitions.map(partition),
  ...{ outcomes: { delivered: 0, rejected: 0, partially_delivered: 0 }, rejections: {} },
  ...{ settled: [], notDelivered: [], pausing: { by: "nobody", reason: "test" } },
});

/** What a page says that has seen this, one look after the other. */
const saidOf = (...looks: [seconds: number, seen: Seen][]) => {
  const standstillsOf = createStandstills();
  const said = looks.map(([seconds, seen]) => {
    const state = stateAt(seconds, seen);
    return headlineOf(state, standstillsOf(state));
  });
  const last = said.at(-1);
  assert.ok(last);
  return { ...last, runbooks: last.problems.map(({ runbook }) => runbook) };
};

describe("the console's headline", () => {
  test("isn't green once every environment has answered and the outcome isn't published", () => {
    const stuck = { partitions: [{ unpublishedFrom: 10 }] };
    assert.equal(saidOf([0, stuck], [29, stuck]).level, "well");
    const said = saidOf([0, stuck], [31, stuck]);
    assert.equal(said.level, "out");
    assert.equal(said.text, "Partition 3: outcomes can't be published");
    assert.deepEqual(said.runbooks, ["OptoutStatusPublishingFails"]);
  });

  test("isn't green while a batch can't be recorded", () => {
    const stuck = { partitions: [{ unrecordedFrom: 10 }] };
    assert.deepEqual(saidOf([0, stuck], [31, stuck]).runbooks, ["OptoutCommitsFailing"]);
  });

  test("takes another batch at each look for what it is: traffic", () => {
    const look = (first: number) => ({ partitions: [{ unpublishedFrom: first, unrecordedFrom: first }] });
    assert.equal(saidOf([0, look(10)], [31, look(11)], [62, look(12)]).level, "well");
  });

  test("says that reading has stopped, though no environment is out", () => {
    const full = { partitions: [{ pausedFor: "room" as const }] };
    assert.equal(saidOf([0, full]).level, "well");
    assert.deepEqual(saidOf([0, full], [31, full]).runbooks, ["OptoutPartitionPausedLong"]);
  });

  test("advises to resume what is only paused, once reading has stopped for more than a moment", () => {
    const environments = [environment("us-west", closed("paused", "OptoutEnvironmentPaused"))];
    const full = { environments, partitions: [{ pausedFor: "room" as const }] };
    assert.equal(saidOf([0, full], [3, full]).level, "watch");
    const room = saidOf([0, full], [6, full]).problems.find(({ key }) => key === "room");
    assert.equal(room?.advice, "Resume us-west, or the others wait too.");
    assert.equal(room?.runbook, "OptoutEnvironmentPaused");
  });

  test("has what isn't read yet, and says that nobody waits only without it", () => {
    assert.equal(saidOf([0, {}]).detail, "Nobody waits.");
    assert.equal(saidOf([0, { unread: 45_000 }]).detail, "45,000 records not read yet.");
    const out = { ...environment("us-west", closed("unavailable", "R")), waiting: 5_000 };
    const [problem] = saidOf([0, { environments: [out], unread: 45_000 }]).problems;
    const waiting = problem?.facts.find(({ label }) => label === "people waiting");
    assert.equal(waiting?.value, "5,000, and 45,000 records not read yet");
  });
});
