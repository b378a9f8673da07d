import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { createProbeEnvironment } from "../support/probe-environment.ts";
import { createScenario, optOut, optOuts, phoneOf, phones, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import {
  assertCutOnce,
  assertOnEveryList,
  assertOneBodyPerKey,
  assertOneOutcomeEach,
  entryRequests,
  rangeOf,
} from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

const acknowledgedKeys = ({ simulator }: Scenario, environment: string) =>
  new Set(
    entryRequests(simulator, environment).flatMap(({ key, status }) => (status === 201 && key ? [key] : [])),
  );

describe("the invariants of the design", () => {
  after(releaseStack);

  test("1: a batch is in the committed ledger before its first byte goes out", async () => {
    await using scenario = await createScenario({ environments: ["production"], partitions: 2 });
    const checked: string[] = [];
    const unrecorded: string[] = [];
    const probe = await createProbeEnvironment(async ({ key }) => {
      const { partition, first, last } = rangeOf(key);
      const ledger = (await scenario.committed()).get(partition)?.ledger ?? [];
      const isRecorded = ledger.some((batch) => batch.first === first && batch.last === last);
      (isRecorded ? checked : unrecorded).push(key);
    });
    try {
      await scenario.startRelay({
        change: (config) => {
          if (config.environments?.[0]) config.environments[0].baseUrl = probe.baseUrl;
        },
      });
      await scenario.produce(optOuts(0, 400));
      await scenario.allSettled();
      assert.deepEqual(unrecorded, []);
      assert.ok(checked.length >= 8, `${checked.length} batches checked`);
    } finally {
      await probe.close();
    }
  });

  test("2: the committed offset never passes an event that isn't settled", async () => {
    await using scenario = await createScenario({ partitions: 2 });
    scenario.simulator.setFaults("us-west", { errorRate: 0.3, latencyMs: 20, jitterMs: 60 });
    scenario.simulator.setFaults("eu-central", { dropAfterApply: 0.2 });
    await scenario.startRelay();
    await scenario.produce(optOuts(0, 2_000));
    let looks = 0;
    await waitFor("all to settle", async () => {
      const committed = await scenario.committed();
      const statuses = new Set((await scenario.statuses()).map(({ statusId }) => statusId));
      looks++;
      let behind = 0;
      for (const [partition, { offset }] of committed) {
        for (let each = 0; each < offset; each++) {
          const statusId = `${scenario.config.topics.events}:${partition}:${each}`;
          assert.ok(statuses.has(statusId), `${statusId} is behind the committed offset without a status`);
        }
        for (const environment of scenario.environments) {
          const taken = [...acknowledgedKeys(scenario, environment)].map(rangeOf);
          const covered = taken.filter((range) => range.partition === partition && range.last < offset);
          const count = covered.reduce((sum, { first, last }) => sum + last - first + 1, 0);
          assert.equal(count, Math.max(0, offset), `offsets acknowledged by ${environment}`);
        }
        behind += Math.max(0, offset);
      }
      return behind === 2_000;
    });
    assert.ok(looks >= 2, "looked while it was under way");
  });

  test("3: an environment whose acknowledgement is in the ledger is never sent that batch again", async () => {
    await using scenario = await createScenario({ partitions: 2 });
    scenario.simulator.setFaults("us-west", { outage: true });
    const first = await scenario.startRelay();
    await scenario.produce(optOuts(0, 500));
    await waitFor("the ledger to hold two environments' acknowledgements of every event", async () => {
      let events = 0;
      for (const { ledger } of (await scenario.committed()).values()) {
        for (const { first, last, acknowledged } of ledger) {
          if (acknowledged[0] && !acknowledged[1] && acknowledged[2]) events += last - first + 1;
        }
      }
      return events === 500;
    });
    first.kill("SIGKILL");
    await first.exit;
    const before = new Map(
      ["production", "eu-central"].map((name) => [name, entryRequests(scenario.simulator, name).length]),
    );
    scenario.simulator.setFaults("us-west", {});
    await scenario.startRelay();
    await scenario.allSettled();
    for (const [environment, count] of before) {
      assert.equal(
        entryRequests(scenario.simulator, environment).length,
        count,
        `requests to ${environment}`,
      );
    }
    assertOnEveryList(scenario, phones(0, 500));
    assertCutOnce(scenario);
    assert.deepEqual(await assertOneOutcomeEach(scenario, 500), { delivered: 500 });
  });

  test("4: one batch has one key and one body, across attempts, environments and processes", async () => {
    await using scenario = await createScenario({ partitions: 3 });
    for (const environment of scenario.environments) {
      scenario.simulator.setFaults(environment, {
        dropAfterApply: 0.3,
        errorRate: 0.2,
        latencyMs: 10,
        jitterMs: 40,
      });
    }
    let sent = 0;
    for (let round = 0; round < 3; round++) {
      const relay = await scenario.startRelay();
      await scenario.produce(optOuts(sent, sent + 600));
      sent += 600;
      await waitFor("some batches to be on their way", () =>
        scenario.environments.every((name) => acknowledgedKeys(scenario, name).size >= (round + 1) * 4),
      );
      relay.kill("SIGKILL");
      await relay.exit;
    }
    await scenario.startRelay();
    await scenario.allSettled();
    assertOneBodyPerKey(scenario);
    assertCutOnce(scenario);
    assertOnEveryList(scenario, phones(0, sent));
  });

  test("5: a process that was stopped and wakes up after its partitions went elsewhere sends and commits nothing", async () => {
    await using scenario = await createScenario({ partitions: 2, sessionTimeout: "3s" });
    for (const environment of scenario.environments)
      scenario.simulator.setFaults(environment, { outage: "503" });
    const zombie = await scenario.startRelay();
    await scenario.produce(optOuts(0, 300));
    await waitFor("all events to be in sealed batches", async () => {
      const spans = [...(await scenario.committed()).values()].flatMap(({ ledger }) => ledger);
      return spans.reduce((sum, { first, last }) => sum + last - first + 1, 0) === 300;
    });
    zombie.kill("SIGSTOP");
    const heir = await scenario.startRelay();
    await waitFor("the heir to own both partitions", async () => {
      const state = (await (await fetch(`${heir.url}/state`)).json()) as { partitions: unknown[] };
      return state.partitions.length === 2;
    });
    for (const environment of scenario.environments) scenario.simulator.setFaults(environment, {});
    await scenario.allSettled();
    const requests = () =>
      scenario.environments.map((name) => entryRequests(scenario.simulator, name).length);
    const settledAt = requests();
    zombie.kill("SIGCONT");
    await waitFor(
      "the zombie to be in the group again",
      async () => (await fetch(`${zombie.url}/readyz`)).ok,
    );
    assert.deepEqual(requests(), settledAt, "requests after the zombie woke up");
    await scenario.produce(optOuts(300, 600));
    await scenario.allSettled();
    assertOneBodyPerKey(scenario);
    assertCutOnce(scenario);
    assertOnEveryList(scenario, phones(0, 600));
    assert.deepEqual(await assertOneOutcomeEach(scenario, 600), { delivered: 600 });
  });

  test("6: no event is lost or skipped: null values, garbage and gaps in the offsets among them", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    const producer = scenario.kafka.producer({
      transactionalId: scenario.config.topics.events,
      maxInFlightRequests: 1,
      idempotent: true,
    });
    await producer.connect();
    const topic = scenario.config.topics.events;
    await scenario.startRelay();
    for (let round = 0; round < 6; round++) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: optOuts(round * 100, round * 100 + 50) });
      if (round % 2 === 0) await transaction.commit();
      else await transaction.abort();
      await scenario.produce([
        { key: "k", value: null },
        { key: "k", value: "garbage" },
        optOut(round * 100 + 60),
      ]);
    }
    await producer.disconnect();
    await scenario.allSettled();
    const committed = [0, 2, 4].flatMap((round) => phones(round * 100, round * 100 + 50));
    const plain = [0, 1, 2, 3, 4, 5].map((round) => phoneOf(round * 100 + 60));
    assertOnEveryList(scenario, [...committed, ...plain]);
    const listed = scenario.simulator.entries("production").length;
    assert.equal(listed, committed.length + plain.length, "aborted events aren't delivered");
    const counts = await assertOneOutcomeEach(scenario, 150 + 18);
    assert.deepEqual(counts, { delivered: 156, rejected: 12 });
    assertCutOnce(scenario);
  });

  test("7: a failing environment never slows another until the pending bound, and then reading pauses", async () => {
    await using scenario = await createScenario({ partitions: 1, batching: { maxPendingEntries: 500 } });
    scenario.simulator.setFaults("us-west", { outage: true });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 450));
    for (const environment of ["production", "eu-central"]) {
      await waitFor(
        `all of it at ${environment}`,
        () => scenario.simulator.entries(environment).length === 450,
      );
    }
    await scenario.produce(optOuts(450, 2_000));
    await waitFor(
      "the partition to pause",
      async () => (await relay.metric("optout_partition_paused", '{partition="0"}')) === 1,
    );
    const state = (await (await fetch(`${relay.url}/state`)).json()) as {
      partitions: { pendingEvents: number }[];
    };
    assert.ok((state.partitions[0]?.pendingEvents ?? 0) <= 500, "events held");
    assert.equal(await relay.metric("optout_environment_lane_open", '{environment="us-west"}'), 0);
    assert.equal(await relay.metric("optout_environment_lane_open", '{environment="production"}'), 1);
    scenario.simulator.setFaults("us-west", {});
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 2_000));
  });

  test("8: every event ends with exactly one outcome on the status topic", async () => {
    await using scenario = await createScenario({ partitions: 2 });
    scenario.simulator.setFaults("us-west", { rejectPhones: [phoneOf(7), phoneOf(99)] });
    await scenario.startRelay();
    await scenario.produce([
      ...optOuts(0, 200),
      { key: "bad", value: '{"phone":"123"}' },
      { key: "worse", value: null },
    ]);
    await scenario.allSettled();
    const counts = await assertOneOutcomeEach(scenario, 202);
    assert.deepEqual(counts, { delivered: 198, partially_delivered: 2, rejected: 2 });
    const partial = (await scenario.statuses()).filter(({ outcome }) => outcome === "partially_delivered");
    assert.deepEqual(partial.map(({ phone }) => phone).sort(), [phoneOf(7), phoneOf(99)].sort());
    for (const { environments, reason } of partial) {
      assert.equal(reason, "refused_by_environment");
      assert.deepEqual(
        environments.map(({ name, outcome }) => [name, outcome]),
        [
          ["production", "accepted"],
          ["us-west", "rejected"],
          ["eu-central", "accepted"],
        ],
      );
    }
    assert.equal((await scenario.deadLetters()).length, 4);
  });
});
