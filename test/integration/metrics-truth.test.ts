import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import {
  assertSums,
  backlogOf,
  exactly,
  plus,
  readAgain,
  shownPartitions,
  takeovers,
  total,
  waitForBacklog,
  watchForDoubles,
} from "../support/metrics-truth.ts";
import type { Exposition } from "../support/prometheus.ts";
import { createScenario, optOut, optOuts, type RelayProcess, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { scrape, stateOf } from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

const PARTITIONS = 4;
const ALL = Array.from({ length: PARTITIONS }, (_, partition) => String(partition));
const pendingAt = (relays: readonly Exposition[], environment: string): number =>
  total(relays, "optout_environment_pending_entries", { environment });

/** Waits until these relays show each partition once, each of them as many as the others, and hold so much for us-west. */
const shared = (relays: readonly RelayProcess[], pending: number): Promise<Exposition[]> =>
  waitFor("each partition to be shown once, and its backlog", async () => {
    const seen = await Promise.all(relays.map(scrape));
    const shown = seen.map(shownPartitions);
    const isFair = shown.every((each) => each.length === PARTITIONS / relays.length);
    return (
      isFair && new Set(shown.flat()).size === PARTITIONS && pendingAt(seen, "us-west") === pending && seen
    );
  });

/** The gauges of each relay are those of the partitions it owns, by the commits and the topic. */
async function assertGauges(
  scenario: Scenario,
  relays: readonly RelayProcess[],
  seen: readonly Exposition[],
) {
  const committed = await scenario.committed();
  const backlog = backlogOf(committed);
  for (const [index, metrics] of seen.entries()) {
    const relay = relays[index];
    assert.ok(relay);
    const owned = (await stateOf(relay)).partitions.map(({ partition }) => partition);
    assert.deepEqual(shownPartitions(metrics), owned.map(String).sort());
    for (const number of owned) {
      const partition = String(number);
      const { events = 0 } = backlog.get(number) ?? {};
      assert.equal(
        metrics.value("optout_committed_offset", { partition }),
        Math.max(0, committed.get(number)?.offset ?? 0),
      );
      assert.equal(metrics.value("optout_consumer_lag", { partition }), events);
      assert.equal(metrics.value("optout_ledger_used_ratio", { partition }) > 0, events > 0);
      assert.equal(metrics.value("optout_partition_paused", { partition }), 0);
    }
    const held = owned.reduce((sum, number) => sum + (backlog.get(number)?.events ?? 0), 0);
    assert.equal(pendingAt([metrics], "us-west"), held);
    assert.equal(pendingAt([metrics], "production") + pendingAt([metrics], "eu-central"), 0);
  }
}

/** Long ago; the larger the number, the later. */
const at = (minutes: number): string => new Date(Date.UTC(2026, 0, 2, 3, minutes)).toISOString();

const countersAbove0 = ({ families }: Exposition): string[] =>
  [...families]
    .filter(([name, { type }]) => name.startsWith("optout_") && type !== "gauge")
    .flatMap(([, { samples }]) => samples)
    .flatMap(({ name, value }) => (value === 0 ? [] : [name]));

const setPaused = async ({ url }: RelayProcess, action: "pause" | "resume"): Promise<void> => {
  const { status } = await fetch(`${url}/environments/us-west/${action}`, { method: "POST" });
  assert.equal(status, 200);
};

describe("the metrics tell the truth", { concurrency: 2 }, () => {
  after(releaseStack);

  test("of two relays, one of which joins and leaves: no partition is shown by both, and the sums are what happened", async () => {
    await using scenario = await createScenario({
      partitions: PARTITIONS,
      batching: { maxEntries: 20, maxWait: "100ms" },
    });
    const { simulator } = scenario;
    // It gives no token, so no entries are sent there, and none are under way while counts are compared.
    simulator.setFaults("us-west", { outage: true });
    const stays = await scenario.startRelay();
    await scenario.produce(optOuts(0, 400));
    const first = await waitForBacklog(scenario, 400);
    let consumed = exactly(400);
    let again = { events: exactly(0), batches: exactly(0) };
    const alone = await shared([stays], 400);
    await assertGauges(scenario, [stays], alone);
    await assertSums(scenario, alone, { consumed, again });

    const beforeJoin = takeovers([stays]);
    const leaves = await scenario.startRelay({ wait: false });
    const joining = watchForDoubles(leaves, stays);
    const both = [stays, leaves];
    const joined = await shared(both, 400);
    const atJoin = await joining.stop();
    assert.deepEqual(atJoin.doubles, []);
    assert.ok(atJoin.scrapes > 1);
    // What wasn't settled is read and cut again: by its new owner, and where the owner is the same.
    again = readAgain(first, beforeJoin, takeovers(both));
    consumed = plus(consumed, again.events);
    await assertGauges(scenario, both, joined);
    await assertSums(scenario, joined, { consumed, again });
    const counted = joined[0]?.families.get("optout_events_consumed_total")?.samples;
    assert.deepEqual(
      counted?.map(({ labels }) => labels.partition).sort(),
      ALL,
      "counters of lost partitions stay",
    );

    simulator.setFaults("us-west", {});
    await scenario.allSettled();
    const idle = await shared(both, 0);
    await assertGauges(scenario, both, idle);
    await assertSums(scenario, idle, { consumed, again });

    for (const relay of both) await setPaused(relay, "pause");
    await scenario.produce(optOuts(400, 800));
    const second = await waitForBacklog(scenario, 400);
    consumed = plus(consumed, exactly(400));
    const waiting = await shared(both, 400);
    await assertGauges(scenario, both, waiting);
    await assertSums(scenario, waiting, { consumed, again });

    const beforeLeave = takeovers(both);
    const leaving = watchForDoubles(stays, leaves);
    leaves.kill("SIGTERM");
    assert.deepEqual(await leaves.exit, { code: 0, signal: null });
    const [left] = await shared([stays], 400);
    const atLeave = await leaving.stop();
    assert.deepEqual(atLeave.doubles, []);
    assert.ok(left && waiting[1]);
    const more = readAgain(second, beforeLeave, takeovers(both));
    consumed = plus(consumed, more.events);
    again = { events: plus(again.events, more.events), batches: plus(again.batches, more.batches) };
    await assertGauges(scenario, [stays], [left]);
    await assertSums(scenario, [left, waiting[1]], { consumed, again });

    await setPaused(stays, "resume");
    await scenario.allSettled();
    const [end] = await shared([stays], 0);
    assert.ok(end);
    await assertGauges(scenario, [stays], [end]);
    await assertSums(scenario, [end, waiting[1]], { consumed, again });
  });

  test("after a kill -9: counters begin at 0, and what waits for whom since when is right from the first look on", async () => {
    await using scenario = await createScenario({ partitions: PARTITIONS, sessionTimeout: "3s" });
    const { simulator } = scenario;
    const killed = await scenario.startRelay();
    await scenario.produce([...optOuts(0, 99), optOut(99, { occurredAt: at(0) })]);
    await scenario.allSettled();
    simulator.setFaults("us-west", { outage: true });
    await scenario.produce([...optOuts(100, 299), optOut(299, { occurredAt: at(1) })]);
    await waitForBacklog(scenario, 200);
    assert.equal((await scrape(killed)).sum("optout_events_completed_total"), 100);
    killed.kill("SIGKILL");
    await killed.exit;
    const committed = await scenario.committed();
    await scenario.produce([...optOuts(300, 359), optOut(359, { occurredAt: at(2) })]);

    // The group has no place for it yet: it still waits for the one that was killed.
    const relay = await scenario.startRelay({ wait: false });
    const first = await scrape(relay);
    assert.deepEqual(shownPartitions(first), []);
    assert.deepEqual(countersAbove0(first), []);
    const seen = [first];
    const caughtUp = await waitFor("all to be read, and the others to have theirs", async () => {
      const metrics = await scrape(relay);
      seen.push(metrics);
      const others = pendingAt([metrics], "production") + pendingAt([metrics], "eu-central");
      return pendingAt([metrics], "us-west") === 260 && others === 0 && metrics;
    });
    for (const metrics of seen) {
      for (const partition of shownPartitions(metrics)) {
        const offset = metrics.value("optout_committed_offset", { partition });
        assert.equal(offset, Math.max(0, committed.get(Number(partition))?.offset ?? 0));
      }
      for (const environment of ["production", "eu-central"]) {
        assert.ok(pendingAt([metrics], environment) <= 60, `${environment} had acknowledged the rest`);
        const since = metrics.value("optout_environment_oldest_pending_timestamp_seconds", { environment });
        assert.ok(since === 0 || since >= Date.parse(at(2)) / 1_000, `${environment} since ${since}`);
      }
      assert.equal(metrics.sum("optout_events_completed_total"), 0);
    }
    const environment = "us-west";
    const oldest = caughtUp.value("optout_environment_oldest_pending_timestamp_seconds", { environment });
    assert.equal(oldest, Date.parse(at(1)) / 1_000, "of those that wait, not of those that are settled");
    assert.equal(caughtUp.sum("optout_consumer_lag"), 260);

    simulator.setFaults("us-west", {});
    await scenario.allSettled();
    const end = await scrape(relay);
    // Once, unless the group rebalanced again.
    const consumed = end.sum("optout_events_consumed_total");
    assert.ok(consumed >= 260 && consumed <= 260 * Math.max(...takeovers([relay]).values()), `${consumed}`);
    const published = (await scenario.statuses()).length - 100;
    assert.equal(end.sum("optout_events_completed_total"), published, "without those of the first process");
    assert.equal(end.value("optout_end_to_end_seconds_count"), published);
    for (const name of scenario.environments) {
      assert.equal(pendingAt([end], name), 0);
      const labels = { environment: name };
      assert.equal(end.value("optout_environment_oldest_pending_timestamp_seconds", labels), 0);
    }
  });
});
