import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { encodeLedger, MAX_LEDGER_CHARS } from "../../src/batching/ledger.ts";
import type { ConfigInput } from "../../src/config/schema.ts";
import { ensureTopics } from "../../src/kafka/topics.ts";
import {
  assertAllIsWell,
  assertNotAskedAgain,
  eventsInLedgers,
  type Snapshot,
  snapshotOf,
} from "../support/aftermath.ts";
import { commitAs } from "../support/kafka.ts";
import { createScenario, optOuts, phones, type RelayProcess, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { assertOnEveryList, assertOneBodyPerKey, entryRequests, rangeOf } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

const FOUR = ["production", "us-west", "eu-central", "apac"];

const without = (name: string) => (config: ConfigInput) => {
  config.environments = config.environments?.filter((environment) => environment.name !== name) ?? [];
};

const keysAt = ({ simulator }: Scenario, environment: string): string[] =>
  entryRequests(simulator, environment).flatMap(({ key }) => key ?? []);

/** The ranges of requests and ledgers alike, as "first-last" in their order. */
const spans = (ranges: readonly { first: number; last: number }[]): string[] => {
  const sorted = [...ranges].sort((a, b) => a.first - b.first);
  return [...new Set(sorted.map(({ first, last }) => `${first}-${last}`))];
};

const errorsOf = (relay: RelayProcess) =>
  relay.logs().filter(({ level }) => level === "error" || level === "fatal");

async function crash(scenario: Scenario, relay: RelayProcess): Promise<Snapshot> {
  relay.kill("SIGKILL");
  await relay.exit;
  return await snapshotOf(scenario);
}

/** Waits until so many events are in the ledgers, acknowledged by production and eu-central. */
async function waitForAllButUsWest(scenario: Scenario, events: number): Promise<void> {
  await waitFor("two environments' acknowledgements to be in the ledger", async () => {
    const committed = await scenario.committed();
    const batches = [...committed.values()].flatMap(({ ledger }) => ledger);
    return (
      eventsInLedgers(committed) === events &&
      batches.every(({ acknowledged }) => acknowledged[0] && !acknowledged[1] && acknowledged[2])
    );
  });
}

const commitTo = ({ kafka, config }: Scenario, offset: number, metadata: string): Promise<void> =>
  commitAs(kafka, { groupId: config.kafka.groupId, topic: config.topics.events, offset, metadata });

describe("the ledger", { concurrency: 3 }, () => {
  after(releaseStack);

  test("a ledger that is full stops the sealing, survives a crash and one environment more, and empties again", async () => {
    await using scenario = await createScenario({
      partitions: 1,
      environments: FOUR,
      sessionTimeout: "3s",
      batching: { maxEntries: 1 },
    });
    const { simulator } = scenario;
    const [refused = ""] = phones(0, 1);
    // A refusal isn't in the ledger, so the bitmaps are as long as they can be.
    for (const name of ["production", "eu-central"]) simulator.setFaults(name, { rejectPhones: [refused] });
    simulator.setFaults("us-west", { outage: true });
    let longest = 0;
    const sample = async () => {
      const metadata = (await scenario.committed()).get(0)?.metadata ?? "";
      longest = Math.max(longest, metadata.length);
    };
    const relay = await scenario.startRelay({ change: without("apac") });
    await scenario.produce(optOuts(0, 2_500));
    const isFull = async (relay: RelayProcess) => {
      await sample();
      return (await relay.metric("optout_partition_paused", '{partition="0"}')) === 1;
    };
    await waitFor("the ledger to be full", () => isFull(relay));
    const sealed = await relay.metric("optout_batches_sealed_total", '{trigger="entries"}');
    assert.ok(
      sealed !== undefined && sealed >= 1_000 && sealed < 1_100,
      `${sealed} batches in a full ledger`,
    );
    await waitFor("the others to have all that is sealed", async () => {
      await sample();
      return ["production", "eu-central"].every((name) => simulator.entries(name).length === sealed - 1);
    });
    const ratio = await relay.metric("optout_ledger_used_ratio", '{partition="0"}');
    assert.ok(ratio !== undefined && ratio > 0.99 && ratio <= 1, `used ratio ${ratio}`);
    assert.equal(await relay.metric("optout_batches_sealed_total", '{trigger="entries"}'), sealed);
    assert.deepEqual(errorsOf(relay), []);
    const atKill = await crash(scenario, relay);
    assert.equal(eventsInLedgers(atKill.committed), sealed);

    const next = await scenario.startRelay();
    await waitFor("the added environment to have all of the ledger", async () => {
      await sample();
      return simulator.entries("apac").length === sealed;
    });
    simulator.setFaults("us-west", {});
    const settled = scenario.allSettled();
    await waitFor("all to be settled", async () => {
      await sample();
      return (await next.metric("optout_committed_offset", '{partition="0"}')) === 2_500;
    });
    await settled;
    assert.ok(longest > 3_000 && longest <= MAX_LEDGER_CHARS, `longest metadata: ${longest} characters`);
    assert.deepEqual(errorsOf(next), []);
    assert.equal(await next.metric("optout_offset_commits_total", '{outcome="failed"}'), 0);
    assertNotAskedAgain(scenario, atKill);
    await assertAllIsWell(scenario, {
      phones: phones(1, 2_500),
      outcomes: { partially_delivered: 1, delivered: 2_499 },
    });
  });

  for (const [what, metadata] of [
    ["of another product", "checkpoint=42"],
    [
      "moved here from another offset",
      encodeLedger(7, [{ first: 7, last: 20, digest: 0, settled: true, acknowledged: [] }], []),
    ],
  ] as const) {
    test(`metadata ${what} is logged, counted and no obstacle`, async () => {
      await using scenario = await createScenario({ partitions: 1 });
      await scenario.produce(optOuts(0, 200));
      await commitTo(scenario, 0, metadata);
      const relay = await scenario.startRelay();
      await scenario.allSettled();
      assert.equal(await relay.metric("optout_ledgers_discarded_total"), 1);
      const errors = errorsOf(relay).map(({ msg }) => msg);
      assert.equal(errors.length, 1);
      assert.match(errors[0] ?? "", /metadata is no ledger and is ignored/);
      await assertAllIsWell(scenario, { phones: phones(0, 200), outcomes: { delivered: 200 } });
    });
  }

  test("an environment added between restarts gets exactly the pending batches, under their keys", async () => {
    await using scenario = await createScenario({ environments: FOUR, sessionTimeout: "3s" });
    const { simulator } = scenario;
    const relay = await scenario.startRelay({ change: without("apac") });
    await scenario.produce(optOuts(0, 100));
    await scenario.allSettled();
    simulator.setFaults("us-west", { outage: true });
    const settledKeys = new Set(keysAt(scenario, "production"));
    await scenario.produce(optOuts(100, 300));
    await waitForAllButUsWest(scenario, 200);
    const atKill = await crash(scenario, relay);
    const pendingKeys = keysAt(scenario, "production").filter((key) => !settledKeys.has(key));
    simulator.setFaults("us-west", {});
    await scenario.startRelay();
    await scenario.allSettled();
    assertNotAskedAgain(scenario, atKill);
    assert.deepEqual(keysAt(scenario, "apac").sort(), pendingKeys.sort());
    const listed = simulator.entries("apac").map(({ phone }) => phone);
    assert.deepEqual(listed.sort(), phones(100, 300).sort());
    const named = (await scenario.statuses()).map(({ environments }) => environments.length);
    assert.deepEqual(
      [named.filter((count) => count === 3).length, named.filter((count) => count === 4).length],
      [100, 200],
    );
    const first = { ...scenario, environments: FOUR.slice(0, 3) };
    await assertAllIsWell(first, { phones: phones(0, 300), outcomes: { delivered: 300 } });
  });

  test("an environment removed between restarts holds nothing up any more", async () => {
    await using scenario = await createScenario({ sessionTimeout: "3s" });
    scenario.simulator.setFaults("us-west", { outage: true });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 200));
    await waitForAllButUsWest(scenario, 200);
    const atKill = await crash(scenario, relay);
    await scenario.startRelay({ change: without("us-west") });
    await scenario.allSettled();
    for (const name of scenario.environments) {
      assert.equal(
        entryRequests(scenario.simulator, name).length,
        atKill.requests.get(name),
        `requests to ${name}`,
      );
    }
    for (const { environments } of await scenario.statuses()) {
      assert.deepEqual(
        environments.map(({ name }) => name),
        ["production", "eu-central"],
      );
    }
    const left = { ...scenario, environments: ["production", "eu-central"] };
    await assertAllIsWell(left, { phones: phones(0, 200), outcomes: { delivered: 200 } });
  });

  test("other batching between restarts leaves the pending batches as they are", async () => {
    await using scenario = await createScenario({ partitions: 1, sessionTimeout: "3s" });
    scenario.simulator.setFaults("us-west", { outage: true });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 200));
    await waitForAllButUsWest(scenario, 200);
    const atKill = await crash(scenario, relay);
    scenario.simulator.setFaults("us-west", {});
    await scenario.startRelay({
      change: (config) => {
        config.batching = { maxEntries: 7, maxBytes: "1KiB" };
      },
    });
    await scenario.produce(optOuts(200, 270));
    await scenario.allSettled();
    assertNotAskedAgain(scenario, atKill);
    const pending = atKill.committed.get(0)?.ledger ?? [];
    const asked = keysAt(scenario, "production").map(rangeOf);
    assert.deepEqual(spans(asked.filter(({ last }) => last < 200)), spans(pending));
    for (const { first, last } of asked.filter(({ first }) => first >= 200)) assert.ok(last - first < 7);
    assert.deepEqual(new Set(keysAt(scenario, "us-west")), new Set(keysAt(scenario, "production")));
    await assertAllIsWell(scenario, { phones: phones(0, 270), outcomes: { delivered: 270 } });
  });

  test("another default region between restarts keeps the ranges; the other numbers go to all, under other keys", async () => {
    await using scenario = await createScenario({ partitions: 1, sessionTimeout: "3s" });
    // Valid in Maine and in London.
    const national = Array.from({ length: 120 }, (_, index) => `2079460${String(index).padStart(3, "0")}`);
    scenario.simulator.setFaults("us-west", { outage: true });
    const relay = await scenario.startRelay();
    await scenario.produce(national.map((phone) => ({ key: phone, value: JSON.stringify({ phone }) })));
    await waitForAllButUsWest(scenario, 120);
    const atKill = await crash(scenario, relay);
    scenario.simulator.setFaults("us-west", {});
    await scenario.startRelay({
      change: (config) => {
        config.normalization = { defaultRegion: "GB" };
      },
    });
    await scenario.allSettled();
    assertOneBodyPerKey(scenario);
    const keys = keysAt(scenario, "production");
    const later = keysAt(scenario, "us-west");
    assert.deepEqual(spans(later.map(rangeOf)), spans(atKill.committed.get(0)?.ledger ?? []));
    // What production had acknowledged were the numbers of the other region: it is asked for these too.
    assert.equal(keys.length, 2 * later.length);
    for (const key of later) assert.ok(keys.includes(key), `${key} went to production too`);
    const listed = (name: string) => scenario.simulator.entries(name).map(({ phone }) => phone);
    assert.deepEqual(
      listed("production").sort(),
      [...national.map((phone) => `+1${phone}`), ...national.map((phone) => `+44${phone}`)].sort(),
    );
    assert.deepEqual(
      listed("us-west").sort(),
      national.map((phone) => `+44${phone}`),
    );
  });

  test("records that expire while the relay is down are counted as lost, and the rest is delivered", async () => {
    await using scenario = await createScenario({
      partitions: 1,
      sessionTimeout: "3s",
      batching: { maxWait: "10m" },
    });
    const { simulator, admin, config } = scenario;
    simulator.setFaults("us-west", { outage: true });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 500));
    await waitForAllButUsWest(scenario, 500);
    const atKill = await crash(scenario, relay);
    // In the middle of the batch 100-149.
    await admin.deleteTopicRecords({
      topic: config.topics.events,
      partitions: [{ partition: 0, offset: "120" }],
    });
    simulator.setFaults("us-west", {});
    const next = await scenario.startRelay({
      change: (changed) => {
        changed.batching = { maxWait: "200ms" };
      },
    });
    await scenario.allSettled();
    assert.equal(await next.metric("optout_offsets_lost_total"), 120);
    assert.match(
      errorsOf(next)
        .map(({ msg }) => msg)
        .join("\n"),
      /^records expired in Kafka before they were settled/,
    );
    assert.deepEqual(
      simulator
        .entries("us-west")
        .map(({ phone }) => phone)
        .sort(),
      phones(120, 500).sort(),
    );
    const ledger = atKill.committed.get(0)?.ledger ?? [];
    // What is left of the broken batch may be read otherwise than before, so all are asked again for it.
    const whole = new Map([
      [0, { offset: 120, metadata: "", ledger: ledger.filter(({ first }) => first > 120) }],
    ]);
    assertNotAskedAgain(scenario, { ...atKill, committed: whole });
    for (const name of scenario.environments) {
      assert.ok(
        keysAt(scenario, name).some((key) => key.includes(":120-149:")),
        name,
      );
    }
    const asked = spans(keysAt(scenario, "us-west").map(rangeOf)).filter((span) => span !== "120-149");
    const pending = spans(ledger);
    assert.deepEqual(asked, pending.slice(3), "whole batches as they were");
    // What is left of the broken batch is another range than the one the others got.
    await assertAllIsWell(scenario, {
      phones: phones(120, 500),
      outcomes: { delivered: 380 },
      splits: true,
    });
  });

  test("records that expire before a paused relay reads them are counted as lost, and the rest is delivered", async () => {
    await using scenario = await createScenario({ partitions: 1, batching: { maxPendingEntries: 100 } });
    const { simulator, admin, config } = scenario;
    simulator.setFaults("us-west", { outage: true });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 1_000));
    await waitForAllButUsWest(scenario, 100);
    await admin.deleteTopicRecords({
      topic: config.topics.events,
      partitions: [{ partition: 0, offset: "600" }],
    });
    simulator.setFaults("us-west", {});
    await scenario.allSettled();
    assert.equal(await relay.metric("optout_offsets_lost_total"), 500);
    assert.equal(errorsOf(relay).length, 1);
    const read = [...phones(0, 100), ...phones(600, 1_000)];
    await assertAllIsWell(scenario, { phones: read, outcomes: { delivered: 500 } });
  });

  test("when all that a paused relay hasn't read expires, that is noticed without a further record", async () => {
    await using scenario = await createScenario({ partitions: 1, batching: { maxPendingEntries: 100 } });
    const { simulator, admin, config } = scenario;
    simulator.setFaults("us-west", { outage: true });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 300));
    await waitForAllButUsWest(scenario, 100);
    await admin.deleteTopicRecords({
      topic: config.topics.events,
      partitions: [{ partition: 0, offset: "300" }],
    });
    simulator.setFaults("us-west", {});
    await scenario.allSettled();
    assert.equal(await relay.metric("optout_offsets_lost_total"), 200);
    await scenario.produce(optOuts(300, 400));
    await scenario.allSettled();
    const read = [...phones(0, 100), ...phones(300, 400)];
    await assertAllIsWell(scenario, { phones: read, outcomes: { delivered: 200 } });
  });

  test("records that expire behind a running relay's reading are delivered from its memory", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    const { simulator, admin, config } = scenario;
    simulator.setFaults("us-west", { outage: true });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 300));
    await waitForAllButUsWest(scenario, 300);
    await admin.deleteTopicRecords({
      topic: config.topics.events,
      partitions: [{ partition: 0, offset: "200" }],
    });
    await scenario.produce(optOuts(300, 400));
    simulator.setFaults("us-west", {});
    await scenario.allSettled();
    assert.equal(await relay.metric("optout_offsets_lost_total"), 0);
    assert.deepEqual(errorsOf(relay), []);
    await assertAllIsWell(scenario, { phones: phones(0, 400), outcomes: { delivered: 400 } });
  });

  test("a topic that was deleted and created anew while the relay was down is read from its beginning", async () => {
    await using scenario = await createScenario({ partitions: 1, sessionTimeout: "3s" });
    const { simulator, admin, config } = scenario;
    const topic = config.topics.events;
    simulator.setFaults("us-west", { outage: true });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 300));
    await waitForAllButUsWest(scenario, 300);
    await crash(scenario, relay);
    await admin.deleteTopics({ topics: [topic] });
    await waitFor("the topic to be gone", async () => !(await admin.listTopics()).includes(topic));
    await ensureTopics(scenario.kafka, config, { partitions: 1, replicationFactor: 1 });
    await waitFor("Kafka to have forgotten the topic's offsets", async () => {
      return ((await scenario.committed()).get(0)?.offset ?? -1) === -1;
    });
    await scenario.produce(optOuts(1_000, 1_150));
    simulator.setFaults("us-west", {});
    await scenario.startRelay();
    await scenario.allSettled();
    assertOneBodyPerKey(scenario);
    assertOnEveryList(scenario, phones(1_000, 1_150));
    const delivered = (await scenario.statuses()).map(({ phone }) => phone);
    assert.deepEqual(delivered.sort(), phones(1_000, 1_150).sort());
  });

  test("a committed offset behind the topic's end, as of a topic created anew, starts it at the beginning", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    await scenario.produce(optOuts(0, 150));
    const ledger = [
      { first: 9_000, last: 9_049, digest: 0, settled: false, acknowledged: [true, true, true] },
    ];
    await commitTo(scenario, 9_000, encodeLedger(9_000, ledger, scenario.environments));
    const relay = await scenario.startRelay();
    await waitFor(
      "the offset to be that of the end",
      async () => (await scenario.committed()).get(0)?.offset === 150,
    );
    assert.match(
      errorsOf(relay)
        .map(({ msg }) => msg)
        .join("\n"),
      /^the committed offset is behind the end of the topic/,
    );
    await assertAllIsWell(scenario, { phones: phones(0, 150), outcomes: { delivered: 150 } });
  });
});
