import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, type MetricsSource } from "../../src/observability/metrics.ts";
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
      { name: "production", pendingEntries: 0, oldestPendingAt: undefined, laneOpen: true },
      { name: "us-west", pendingEntries: 3, oldestPendingAt: 1_700_000_000_500, laneOpen: false },
    ],
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
  assert.equal(of("us-west", "lane_open"), 0);
  assert.equal(of("production", "oldest_pending_timestamp_seconds"), 0);
  assert.equal(of("production", "lane_open"), 1);
  partitions = [];
  assert.deepEqual((await read(metrics)).families.get("optout_committed_offset")?.samples, []);
});

test("two relays in one process don't share their metrics", async () => {
  const first = createMetrics({ version: "1", environments });
  const second = createMetrics({ version: "1", environments });
  first.offsetsLost.inc(5);
  assert.equal((await read(first)).value("optout_offsets_lost_total"), 5);
  assert.equal((await read(second)).value("optout_offsets_lost_total"), 0);
});
