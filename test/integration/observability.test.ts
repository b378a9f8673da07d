import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { findFreePorts } from "../../src/local-stack/ports.ts";
import { eventsInLedgers } from "../support/aftermath.ts";
import { endOffsets } from "../support/kafka.ts";
import { assertContract, type Exposition } from "../support/prometheus.ts";
import { createScenario, optOut, optOuts, phoneOf, phones, type RelayProcess } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { assertOnEveryList, assertOneOutcomeEach, attemptsBy, entryRequests } from "../support/verify.ts";
import { scrape, stateOf } from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

interface Health {
  code: number;
  status: string;
  reason?: string;
}

async function health({ url }: RelayProcess, path: "livez" | "readyz"): Promise<Health> {
  const response = await fetch(`${url}/${path}`);
  return { code: response.status, ...((await response.json()) as Omit<Health, "code">) };
}

describe("what the relay shows of itself", () => {
  after(releaseStack);

  test("the metrics are those of the contract, and agree with what the environments and Kafka saw", async () => {
    await using scenario = await createScenario({ partitions: 2 });
    const { simulator, environments } = scenario;
    simulator.setFaults("production", { errorRate: 0.2 });
    simulator.setFaults("us-west", { rejectPhones: [phoneOf(5)] });
    simulator.setFaults("eu-central", { dropAfterApply: 0.3 });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 300));
    await scenario.allSettled();
    for (const environment of environments) simulator.revokeTokens(environment);
    const garbage = ["x", '{"phone":"123"}', "{}"].map((value) => ({ key: "k", value }));
    await scenario.produce([...optOuts(300, 600), ...garbage, { key: "k", value: null }]);
    await scenario.allSettled();
    const committed = await scenario.committed();
    await waitFor("the lag to be known", async () => (await scrape(relay)).sum("optout_consumer_lag") === 0);
    const metrics = await scrape(relay);
    assertContract(metrics);

    const outcomes = await assertOneOutcomeEach(scenario, 604);
    assert.deepEqual(outcomes, { delivered: 599, partially_delivered: 1, rejected: 4 });
    for (const [outcome, count] of Object.entries(outcomes)) {
      assert.equal(metrics.value("optout_events_completed_total", { outcome }), count);
    }
    const reasons = {
      undecodable: 1,
      invalid_phone: 1,
      missing_phone: 1,
      empty_value: 1,
      refused_by_environment: 1,
    };
    for (const [reason, count] of Object.entries(reasons)) {
      assert.equal(metrics.value("optout_events_rejected_total", { reason }), count, reason);
    }
    assert.equal(metrics.value("optout_end_to_end_seconds_count"), 599);

    for (const environment of environments) {
      const attempts = attemptsBy(scenario, environment);
      for (const [outcome, count] of Object.entries(attempts)) {
        const shown = metrics.value("optout_delivery_attempts_total", { environment, outcome });
        assert.equal(shown, count, `${outcome} at ${environment}`);
      }
      const total = Object.values(attempts).reduce((sum, count) => sum + count, 0);
      assert.equal(metrics.value("optout_delivery_seconds_count", { environment }), total);
      assert.equal(metrics.value("optout_token_refreshes_total", { environment, outcome: "ok" }), 2);
      assert.equal(metrics.value("optout_environment_pending_entries", { environment }), 0);
      assert.equal(metrics.value("optout_environment_oldest_pending_timestamp_seconds", { environment }), 0);
      assert.equal(metrics.value("optout_environment_lane_open", { environment }), 1);
      assert.ok(metrics.value("optout_rate_limit_wait_seconds_count", { environment }) >= total);
    }

    // Nothing is split at production, so its keys are the batches that had entries.
    const batches = new Map(entryRequests(simulator, "production").map(({ key, entries }) => [key, entries]));
    const sealed = metrics.sum("optout_batches_sealed_total");
    assert.equal(metrics.value("optout_batch_entries_count"), sealed);
    assert.equal(sealed - metrics.value("optout_batch_entries_bucket", { le: "0" }), batches.size);
    assert.equal(
      metrics.value("optout_batch_entries_sum"),
      [...batches.values()].reduce((sum, entries) => sum + entries, 0),
    );

    for (const [number, end] of await endOffsets(scenario.admin, scenario.config.topics.events)) {
      const partition = String(number);
      assert.equal(metrics.value("optout_events_consumed_total", { partition }), end);
      assert.equal(metrics.value("optout_committed_offset", { partition }), committed.get(number)?.offset);
      assert.equal(metrics.value("optout_consumer_lag", { partition }), 0);
      assert.equal(metrics.value("optout_partition_paused", { partition }), 0);
      assert.equal(metrics.value("optout_ledger_used_ratio", { partition }), 0);
    }
    assert.ok(metrics.value("optout_offset_commits_total", { outcome: "ok" }) > 0);
    assert.equal(metrics.value("optout_offset_commits_total", { outcome: "failed" }), 0);
    assert.equal(metrics.value("optout_offsets_lost_total"), 0);
    assert.equal(metrics.value("optout_status_publish_failures_total"), 0);
  });

  test("while an environment is out, what is pending and since when is shown for it alone", async () => {
    await using scenario = await createScenario();
    scenario.simulator.setFaults("us-west", { outage: true });
    const relay = await scenario.startRelay();
    const oldest = "2026-01-02T03:04:05.500Z";
    await scenario.produce([
      ...optOuts(0, 149),
      optOut(149, { occurredAt: oldest }),
      optOut(150, { occurredAt: "2026-01-02T03:04:06Z" }),
      optOut(150, { eventId: "the same phone again" }),
    ]);
    for (const environment of ["production", "eu-central"]) {
      await waitFor(
        `all of it at ${environment}`,
        () => scenario.simulator.entries(environment).length === 151,
      );
    }
    const pending = (metrics: Exposition, environment: string) =>
      metrics.value("optout_environment_pending_entries", { environment });
    const since = (metrics: Exposition, environment: string) =>
      metrics.value("optout_environment_oldest_pending_timestamp_seconds", { environment });
    const metrics = await waitFor("the others to have nothing pending", async () => {
      const seen = await scrape(relay);
      return pending(seen, "production") + pending(seen, "eu-central") === 0 && seen;
    });
    assert.ok([151, 152].includes(pending(metrics, "us-west")), "phones, each once in a batch");
    assert.equal(since(metrics, "us-west"), Date.parse(oldest) / 1000);
    assert.equal(since(metrics, "production"), 0);
    assert.equal(metrics.sum("optout_environment_lane_open"), 2);
    assert.equal(metrics.sum("optout_consumer_lag"), 152);
    assert.ok(metrics.sum("optout_ledger_used_ratio") > 0);
    scenario.simulator.setFaults("us-west", {});
    await scenario.allSettled();
    const healed = await scrape(relay);
    assert.equal(pending(healed, "us-west"), 0);
    assert.equal(since(healed, "us-west"), 0);
    assertOnEveryList(scenario, phones(0, 151));
  });

  test("health and state tell starting, at work, an outage and draining apart", async () => {
    await using scenario = await createScenario();
    const [nowhere] = await findFreePorts(1);
    const waiting = await scenario.startRelay({
      wait: false,
      change: (config) => {
        config.kafka = { ...config.kafka, brokers: [`127.0.0.1:${nowhere}`] };
      },
    });
    assert.deepEqual(await health(waiting, "readyz"), {
      code: 503,
      status: "unavailable",
      reason: "starting",
    });
    assert.deepEqual(await health(waiting, "livez"), { code: 200, status: "ok" });
    assert.equal((await stateOf(waiting)).phase, "starting");
    waiting.kill("SIGTERM");
    assert.equal((await waiting.exit).code, 0, "a signal ends the start, too");

    const relay = await scenario.startRelay();
    assert.deepEqual(await health(relay, "livez"), { code: 200, status: "ok" });
    assert.deepEqual(await health(relay, "readyz"), { code: 200, status: "ok" });
    const idle = await stateOf(relay);
    assert.equal(idle.phase, "active");
    assert.deepEqual(idle.partitions.map(({ partition }) => partition).sort(), [0, 1]);
    assert.deepEqual(
      idle.environments.map(({ name, closure }) => [name, closure]),
      scenario.environments.map((name) => [name, null]),
    );

    await scenario.produce([optOut(100)]);
    await scenario.allSettled();
    scenario.simulator.setFaults("us-west", { outage: "503", retryAfter: 60 });
    for (const environment of ["production", "eu-central"]) {
      scenario.simulator.setFaults(environment, { latencyMs: 3_000 });
    }
    // A full batch in each partition.
    await scenario.produce(optOuts(0, 100).map((message, index) => ({ ...message, partition: index % 2 })));
    const out = await waitFor(
      "the state to show the outage, and the others' requests under way",
      async () => {
        const state = await stateOf(relay);
        const [production, usWest, euCentral] = state.environments;
        return usWest?.closure !== null && production?.inFlight === 2 && euCentral?.inFlight === 2 && state;
      },
    );
    assert.equal(
      out.partitions.reduce((sum, { pendingEvents }) => sum + pendingEvents, 0),
      100,
    );
    assert.deepEqual(await health(relay, "livez"), { code: 200, status: "ok" });
    assert.deepEqual(await health(relay, "readyz"), { code: 200, status: "ok" });

    relay.kill("SIGTERM");
    await waitFor("draining", async () => (await stateOf(relay)).phase === "draining");
    assert.deepEqual(await health(relay, "readyz"), { code: 503, status: "unavailable", reason: "draining" });
    assert.deepEqual(await health(relay, "livez"), { code: 200, status: "ok" });
    assert.deepEqual(await relay.exit, { code: 0, signal: null });
    const committed = await scenario.committed();
    assert.equal(eventsInLedgers(committed), 100);
    // One in each partition, or more if the machine was too busy to read a full batch in time.
    for (const { acknowledged } of [...committed.values()].flatMap(({ ledger }) => ledger)) {
      assert.deepEqual(acknowledged, [true, false, true], "what was under way is finished and recorded");
    }
    assert.equal(scenario.simulator.entries("production").length, 101);
  });
});
