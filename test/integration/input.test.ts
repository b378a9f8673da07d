import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import kafkajs, { type IHeaders, type Message } from "kafkajs";
import { BAD, BAD_WITHOUT_REGISTRY, GOOD } from "../support/bad-records.ts";
import { registerCompressors, ZSTD_MESSAGES } from "../support/compression.ts";
import { readTopic, type TopicRecord } from "../support/kafka.ts";
import { createScenario, optOut, optOuts, phoneOf, phones, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { assertCutOnce, assertOnEveryList, assertOneOutcomeEach, entryRequests } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

const { CompressionTypes } = kafkajs;
const statusIdOf = ({ config }: Scenario, offset: number | string): string =>
  `${config.topics.events}:0:${offset}`;
const offsetOf = ({ headers }: TopicRecord): number => Number(headers?.["__connect.errors.offset"]);

const HEADERS: IHeaders = {
  trace: Buffer.from([0, 255, 1]),
  twice: ["a", "b"],
  "optout.reason": "an older one",
};

const setTopic = ({ admin, config }: Scenario, settings: Record<string, string>): Promise<void> =>
  admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: kafkajs.ConfigResourceTypes.TOPIC,
        name: config.topics.events,
        configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
      },
    ],
  });

/** Compaction looks for work every 15 s, so it is set to work at the start and looked at in the end. */
async function prepareCompaction(scenario: Scenario): Promise<void> {
  // Every request ends the segment before it; the last segment is never compacted.
  await setTopic(scenario, { "segment.ms": "1" });
  for (const environment of scenario.environments)
    scenario.simulator.setFaults(environment, { outage: "503" });
  const relay = await scenario.startRelay();
  await scenario.produce(keyedOptOuts(0, 40));
  await waitFor("all events to be in the ledger", async () => {
    const ledger = (await scenario.committed()).get(0)?.ledger ?? [];
    return ledger.reduce((sum, { first, last }) => sum + last - first + 1, 0) === 40;
  });
  relay.kill("SIGKILL");
  await relay.exit;
  await scenario.produce(keyedOptOuts(40, 47));
  await scenario.produce([optOut(47)]);
  await setTopic(scenario, {
    "segment.ms": "1",
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.001",
  });
}

/** Seven events of ten have the key of an earlier one. */
const keyedOptOuts = (from: number, to: number): Message[] =>
  optOuts(from, to).map((message, index) =>
    (from + index) % 10 < 7 ? { ...message, key: `key-${index % 7}` } : message,
  );

describe("input", () => {
  let compacted: Scenario;
  let compaction: Promise<void>;
  before(async () => {
    compacted = await createScenario({ partitions: 1, batching: { maxEntries: 4 } });
    compaction = prepareCompaction(compacted);
    // Awaited by its test, if that is among those that were asked for.
    compaction.catch(() => {});
  });
  after(async () => {
    await compaction?.catch(() => {});
    await compacted?.[Symbol.asyncDispose]();
    await releaseStack();
  });

  test("each bad record is rejected for its own reason and dead-lettered byte for byte; the good ones go on", async () => {
    await using scenario = await createScenario({ partitions: 1, environments: ["production", "us-west"] });
    const relay = await scenario.startRelay();
    const all = [...BAD, BAD_WITHOUT_REGISTRY];
    const messages = all.flatMap(({ value }, index): Message[] => {
      const key = index % 2 === 0 ? Buffer.from([index, 0xff]) : null;
      const good = GOOD[index];
      return [{ key, value, headers: HEADERS }, ...(good === undefined ? [] : [good])];
    });
    await scenario.produce(messages);
    await scenario.allSettled();

    const letters = new Map((await scenario.deadLetters()).map((letter) => [offsetOf(letter), letter]));
    const statuses = new Map((await scenario.statuses()).map((status) => [status.statusId, status]));
    assert.equal(letters.size, all.length);
    assert.equal(statuses.size, messages.length);
    const counts: Record<string, number> = {};
    for (const { offset, key, value, headers } of await readTopic(
      scenario.kafka,
      scenario.admin,
      scenario.config.topics.events,
    )) {
      const bad = all.find(({ value: of }) =>
        of === null ? value === null : value?.equals(Buffer.from(of)),
      );
      const status = statuses.get(statusIdOf(scenario, offset));
      const letter = letters.get(Number(offset));
      if (bad === undefined) {
        assert.equal(status?.outcome, "delivered");
        assert.equal(letter, undefined);
        continue;
      }
      const { what, reason, says } = bad;
      counts[reason] = (counts[reason] ?? 0) + 1;
      assert.deepEqual(
        [status?.outcome, status?.reason, status?.environments],
        ["rejected", reason, []],
        what,
      );
      assert.match(status?.detail ?? "", says, what);
      assert.deepEqual(letter?.key, key, `the key of ${what}`);
      assert.deepEqual(letter?.value, value, `the value of ${what}`);
      assert.deepEqual(
        letter?.headers,
        {
          ...headers,
          "__connect.errors.topic": Buffer.from(scenario.config.topics.events),
          "__connect.errors.partition": Buffer.from("0"),
          "__connect.errors.offset": Buffer.from(offset),
          "__connect.errors.exception.message": Buffer.from(status?.detail ?? ""),
          "optout.reason": Buffer.from(reason),
        },
        `the headers of ${what}`,
      );
    }
    for (const [reason, count] of Object.entries(counts)) {
      assert.equal(await relay.metric("optout_events_rejected_total", `{reason="${reason}"}`), count, reason);
    }
    assert.equal(await relay.metric("optout_events_completed_total", '{outcome="rejected"}'), all.length);
    assertOnEveryList(scenario, phones(1_000, 1_006));
    assert.equal(scenario.simulator.entries("production").length, GOOD.length);
  });

  test("a batch without a valid event settles without any request, not even for a token", async () => {
    await using scenario = await createScenario({ partitions: 1, batching: { maxEntries: 2 } });
    await scenario.startRelay();
    await scenario.produce(Array.from({ length: 20 }, (_, index) => ({ key: `${index}`, value: "{}" })));
    await scenario.allSettled();
    assert.deepEqual(await assertOneOutcomeEach(scenario, 20), { rejected: 20 });
    for (const environment of scenario.environments) {
      assert.deepEqual(scenario.simulator.requests(environment), []);
    }
  });

  test("a phone repeated within a batch is sent once, and each of its events is settled by itself", async () => {
    await using scenario = await createScenario({
      partitions: 1,
      batching: { maxEntries: 2, maxWait: "30s" },
    });
    await scenario.startRelay();
    const spelled = ["+12125550123", "(212) 555-0123", "212.555.0123", "tel:+1-212-555-0123"];
    const values = [
      ...spelled.map((phone, index) => ({ phone, eventId: `spelled-${index}` })),
      { phone: phoneOf(1) },
    ];
    await scenario.produce(values.map((value, index) => ({ key: `${index}`, value: JSON.stringify(value) })));
    await scenario.allSettled();
    for (const environment of scenario.environments) {
      const requests = entryRequests(scenario.simulator, environment);
      assert.deepEqual(
        requests.map(({ entries }) => entries),
        [2],
        `entries of each request to ${environment}`,
      );
      const counts = scenario.simulator.entries(environment).map(({ phone, count }) => [phone, count]);
      assert.deepEqual(counts, [
        ["+12125550123", 1],
        [phoneOf(1), 1],
      ]);
    }
    const statuses = await scenario.statuses();
    assert.deepEqual(
      statuses.map(({ statusId, eventId, phone, outcome }) => [statusId, eventId, phone, outcome]),
      [
        ...spelled.map((_, index) => [
          statusIdOf(scenario, index),
          `spelled-${index}`,
          "+12125550123",
          "delivered",
        ]),
        [statusIdOf(scenario, 4), null, phoneOf(1), "delivered"],
      ],
    );
    assert.equal(new Set(statuses.map(({ idempotencyKey }) => idempotencyKey)).size, 1);
  });

  test("an event that stays alone goes out when it has waited maxWait, not before and not much later", async (t) => {
    const maxWait = 1_000;
    await using scenario = await createScenario({
      partitions: 1,
      environments: ["production"],
      batching: { maxEntries: 50, maxWait: "1s" },
    });
    await scenario.startRelay();
    const waits: number[] = [];
    for (let index = 0; index < 4; index++) {
      const producedAt = Date.now();
      await scenario.produce([{ ...optOut(index), timestamp: String(producedAt) }]);
      await scenario.allSettled();
      const request = entryRequests(scenario.simulator, "production")[index];
      assert.equal(request?.entries, 1);
      waits.push(Date.parse(request?.at ?? "") - producedAt);
    }
    t.diagnostic(`sent after ${waits.join(", ")} ms`);
    // The relay counts from when it has read the event, so never less; the clocks of two processes are compared.
    for (const wait of waits) assert.ok(wait >= maxWait - 20, `sent after ${wait} ms`);
    assert.ok(Math.min(...waits) <= maxWait + 500, `at best sent after ${Math.min(...waits)} ms`);
    assert.ok(Math.max(...waits) <= maxWait * 6, `at worst sent after ${Math.max(...waits)} ms`);
  });

  test("record batches compressed with gzip, snappy, lz4 and zstd are read", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    const producer = scenario.kafka.producer();
    const reads = registerCompressors();
    await scenario.startRelay();
    await producer.connect();
    const types = [CompressionTypes.GZIP, CompressionTypes.Snappy, CompressionTypes.LZ4];
    const topic = scenario.config.topics.events;
    for (const [index, compression] of types.entries()) {
      await producer.send({ topic, compression, messages: optOuts(index * 100, index * 100 + 60) });
    }
    const timestamp = String(Date.now());
    const messages = ZSTD_MESSAGES.map((message) => ({ ...message, timestamp }));
    await producer.send({ topic, compression: CompressionTypes.ZSTD, messages });
    await producer.disconnect();
    await scenario.allSettled();
    assert.deepEqual(await assertOneOutcomeEach(scenario, 190), { delivered: 190 });
    assertOnEveryList(scenario, [
      ...phones(0, 60),
      ...phones(100, 160),
      ...phones(200, 260),
      ...phones(3_000, 3_010),
    ]);
    assert.equal((await readTopic(scenario.kafka, scenario.admin, topic)).length, 190);
    assert.deepEqual([...reads.keys()], [...types, CompressionTypes.ZSTD], "as they are in the topic");
  });

  test("aborted records at the end of the topic don't hold the committed offset back", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    const topic = scenario.config.topics.events;
    const producer = scenario.kafka.producer({
      transactionalId: topic,
      maxInFlightRequests: 1,
      idempotent: true,
    });
    await scenario.startRelay();
    await scenario.produce(optOuts(0, 5));
    await producer.connect();
    for (const round of [1, 2, 3]) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: optOuts(round * 100, round * 100 + 30) });
      await transaction.abort();
      // Up to the control record behind the aborted ones, which the broker may write a little later.
      const end = 5 + round * 31;
      await waitFor(
        "the offset behind the marker",
        async () => (await scenario.committed()).get(0)?.offset === end,
      );
    }
    const committed = await producer.transaction();
    await committed.send({ topic, messages: optOuts(400, 403) });
    await committed.commit();
    await producer.disconnect();
    await scenario.allSettled();
    assertOnEveryList(scenario, [...phones(0, 5), ...phones(400, 403)]);
    assert.deepEqual(await assertOneOutcomeEach(scenario, 8), { delivered: 8 });
    assertCutOnce(scenario);
  });

  test("records that were compacted away, sealed ones among them, leave no hole that reading stops at", async () => {
    await compaction;
    const scenario = compacted;
    const { topics } = scenario.config;
    const left = await waitFor("the broker to compact", async () => {
      const records = await readTopic(scenario.kafka, scenario.admin, topics.events);
      return records.length < 30 && records;
    });
    const offsets = new Set(left.map(({ offset }) => Number(offset)));
    const ranges = (await scenario.committed()).get(0)?.ledger ?? [];
    const narrowed = ranges.filter(({ first, last }) => !offsets.has(first) || !offsets.has(last));
    assert.ok(narrowed.length > 0, "ranges of the ledger lost their first or last record");
    for (const environment of scenario.environments) scenario.simulator.setFaults(environment, {});
    const relay = await scenario.startRelay();
    await scenario.allSettled();
    assert.ok(((await relay.metric("optout_batches_sealed_total", '{trigger="ledger"}')) ?? 0) > 0);
    const listed = left.map(({ value }) => JSON.parse(String(value)).phone);
    assertOnEveryList(scenario, listed);
    assert.deepEqual(await assertOneOutcomeEach(scenario, left.length), { delivered: left.length });
    assert.equal((await scenario.committed()).get(0)?.offset, 48);
  });
});
