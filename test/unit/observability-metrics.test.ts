import assert from "node:assert/strict";
import { test } from "node:test";
import type { LaneState } from "../../src/delivery/lane.ts";
import type { MetricsSource } from "../../src/observability/gauges.ts";
import { createMetrics } from "../../src/observability/metrics.ts";
import { assertContract, parseExposition } from "../support/prometheus.ts";

const environments = ["production", "us-west"];
const read = async (metrics: ReturnType<typeof createMetrics>) =>
  parseExposition(await metrics.registry.metrics());

test("before anything has happened, every metric of the contract is there with its help and type", async () => {
  const exposition = await read(createMetrics({ version: "1.2.3", environments }));
  assertContract(exposition);
  assert.equal(exposition.value("optout_build_info", { version: "1.2.3", node: process.version }), 1);
});

test("counters of closed lists start at 0, so that the first increase is seen as one", async () => {
  const exposition = await read(createMetrics({ version: "1", environments }));
  for (const outcome of ["delivered", "rejected", "partially_delivered"]) {
    assert.equal(exposition.value("optout_events_completed_total", { outcome }), 0);
  }
  for (const reason of ["empty_value", "undecodable", "invalid_phone", "refused_by_environment"]) {
    assert.equal(exposition.value("optout_events_rejected_total", { reason }), 0);
  }
  for (const environment of environments) {
    for (const outcome of ["acknowledged", "unavailable", "error", "short"]) {
      assert.equal(exposition.value("optout_delivery_attempts_total", { environment, outcome }), 0);
    }
    assert.equal(exposition.value("optout_token_refreshes_total", { environment, outcome: "refused" }), 0);
  }
  assert.equal(exposition.value("optout_offsets_lost_total"), 0);
  assert.equal(exposition.value("optout_status_publish_failures_total"), 0);
});

test("gauges show the source at each scrape, and forget a partition that went elsewhere", async () => {
  const metrics = createMetrics({ version: "1", environments });
  let partitions: ReturnType<MetricsSource["partitions"]> = [
    { partition: 0, committedOffset: 40, lag: 2, ledgerUsedRatio: 0.25, paused: true },
    { partition: 1, committedOffset: 7, lag: undefined, ledgerUsedRatio: 0, paused: false },
  ];
  metrics.watch({
    partitions: () => partitions,
    environments: () => [
      { name: "production", pendingEntries: 0, oldestPendingAt: undefined },
      { name: "us-west", pendingEntries: 3, oldestPendingAt: 1_700_000_000_500 },
    ],
    lanes: () => [],
  });
  const exposition = await read(metrics);
  const partition = "0";
  assert.equal(exposition.value("optout_committed_offset", { partition }), 40);
  assert.equal(exposition.value("optout_consumer_lag", { partition }), 2);
  assert.equal(exposition.value("optout_ledger_used_ratio", { partition }), 0.25);
  assert.equal(exposition.value("optout_partition_paused", { partition }), 1);
  assert.equal(exposition.value("optout_partition_paused", { partition: "1" }), 0);
  assert.equal(exposition.families.get("optout_consumer_lag")?.samples.length, 1, "an unknown lag isn't 0");
  const of = (environment: string, name: string) =>
    exposition.value(`optout_environment_${name}`, { environment });
  assert.equal(of("us-west", "pending_entries"), 3);
  assert.equal(of("us-west", "oldest_pending_timestamp_seconds"), 1_700_000_000.5);
  assert.equal(of("production", "oldest_pending_timestamp_seconds"), 0);
  partitions = [];
  assert.deepEqual((await read(metrics)).families.get("optout_committed_offset")?.samples, []);
});

test("a lane shows whether it is open; if not, for which one reason, since when and until when", async () => {
  const metrics = createMetrics({ version: "1", environments });
  const limits = { concurrencyLimit: 12, requestsPerSecond: 33.5 };
  let closure: LaneState["closure"] = null;
  metrics.watch({
    partitions: () => [],
    environments: () => [],
    lanes: () => [
      { name: "production", closure: null, ...limits },
      { name: "us-west", closure, ...limits },
    ],
  });
  const lane = async (name: string) => {
    const exposition = await read(metrics);
    assertContract(exposition);
    const of = (what: string) => exposition.value(`optout_environment_${what}`, { environment: name });
    const closed = exposition.families.get("optout_environment_lane_closed")?.samples ?? [];
    const own = closed.filter(({ labels }) => labels.environment === name);
    assert.deepEqual(own.map(({ labels }) => labels.reason).sort(), [
      "credentials_refused",
      "entries_failed",
      "misconfigured",
      "paused",
      "retry_after",
      "short_answers",
      "token_unavailable",
      "unauthorized",
      "unavailable",
    ]);
    return {
      open: of("lane_open"),
      reasons: own.filter(({ value }) => value !== 0).map(({ labels, value }) => [labels.reason, value]),
      since: of("lane_closed_since_timestamp_seconds"),
      until: of("lane_closed_until_timestamp_seconds"),
      limits: [of("concurrency_limit"), of("requests_per_second")],
    };
  };
  const open = { open: 1, reasons: [], since: 0, until: 0, limits: [12, 33.5] };
  assert.deepEqual(await lane("us-west"), open);
  closure = { reason: "retry_after", since: 1_700_000_000_500, until: 1_700_000_030_250 };
  assert.deepEqual(await lane("us-west"), {
    ...open,
    open: 0,
    reasons: [["retry_after", 1]],
    since: 1_700_000_000.5,
    until: 1_700_000_030.25,
  });
  closure = { reason: "paused", since: 1_700_000_040_000, until: null };
  assert.deepEqual(await lane("us-west"), {
    ...open,
    open: 0,
    reasons: [["paused", 1]],
    since: 1_700_000_040,
    until: 0,
  });
  assert.deepEqual(await lane("production"), open, "no other lane's affair");
  closure = null;
  assert.deepEqual(await lane("us-west"), open);
});

test("two relays in one process don't share their metrics", async () => {
  const first = createMetrics({ version: "1", environments });
  const second = createMetrics({ version: "1", environments });
  first.offsetsLost.inc(5);
  assert.equal((await read(first)).value("optout_offsets_lost_total"), 5);
  assert.equal((await read(second)).value("optout_offsets_lost_total"), 0);
});
