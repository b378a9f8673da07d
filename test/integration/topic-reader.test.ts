import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { Admin, Kafka, Message } from "kafkajs";
import { OptoutError } from "../../src/errors.ts";
import { closeKafka } from "../../src/kafka/client.ts";
import { readTopic, type TopicReadOptions, type TopicSlice } from "../../src/kafka/topic-reader.ts";
import { createTopics, testKafka } from "../support/kafka.ts";
import { releaseStack, sharedStack, startTestStack } from "../support/stack.ts";

let brokers: string[];
let kafka: Kafka;
let admin: Admin;

type Read = Partial<Omit<TopicReadOptions, "topic">>;

/** Values by partition, in the order they were read. */
async function valuesOf(topic: string, options: Read = {}): Promise<Map<number, string[]>> {
  const values = new Map<number, string[]>();
  for await (const { partition, messages } of readTopic({ kafka, brokers, topic, ...options })) {
    const read = messages.map(({ value }) => String(value));
    values.set(partition, [...(values.get(partition) ?? []), ...read]);
  }
  return values;
}

async function createTopic(numPartitions: number): Promise<string> {
  const topic = `reader-${randomUUID().slice(0, 8)}`;
  await createTopics(admin, [{ topic, numPartitions }]);
  return topic;
}

async function produce(topic: string, messages: Message[]): Promise<void> {
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  await producer.send({ topic, messages });
  await producer.disconnect();
}

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => String(from + index));

describe("reading a topic to its end", () => {
  before(async () => {
    ({ brokers } = await sharedStack());
    kafka = testKafka(brokers);
    admin = kafka.admin();
    await admin.connect();
  });
  after(async () => {
    await admin.disconnect();
    closeKafka(kafka);
    await releaseStack();
  });

  test("all partitions are read in order, in more than one fetch, and it ends where the topic ended", async () => {
    const topic = await createTopic(3);
    const padding = "x".repeat(700_000);
    for (const partition of [0, 2]) {
      for (const value of numbered(0, 4)) await produce(topic, [{ partition, value, headers: { padding } }]);
    }
    const slices: TopicSlice[] = [];
    for await (const slice of readTopic({ kafka, brokers, topic })) {
      slices.push(slice);
      // Records that come while it is read are behind its end.
      if (slices.length === 1) await produce(topic, [{ partition: slice.partition, value: "late" }]);
    }
    const read = (wanted: number) =>
      slices
        .filter(({ partition }) => partition === wanted)
        .flatMap(({ messages }) => messages.map(({ value }) => String(value)));
    assert.deepEqual([read(0), read(1), read(2)], [numbered(0, 4), [], numbered(0, 4)]);
    assert.ok(slices.length > 2, "one fetch holds less than a partition");
    assert.deepEqual(slices.at(-1)?.progress, { done: 8, total: 8 });
  });

  test("it starts where it is told: partitions, offsets, a time, or just the first few", async () => {
    const topic = await createTopic(2);
    const timed = numbered(0, 10).map((value) => ({
      partition: 0,
      value,
      timestamp: String(Date.now() - 10_000 + 1_000 * Number(value)),
    }));
    await produce(topic, [...timed, { partition: 1, value: "other", timestamp: timed[0]?.timestamp ?? "" }]);
    const all = await valuesOf(topic);
    assert.deepEqual(
      all,
      new Map([
        [0, numbered(0, 10)],
        [1, ["other"]],
      ]),
    );
    assert.deepEqual(await valuesOf(topic, { partitions: [1] }), new Map([[1, ["other"]]]));
    const offsets = new Map([
      [0, 7],
      [1, 99],
    ]);
    assert.deepEqual(await valuesOf(topic, { from: { offsets } }), new Map([[0, numbered(7, 10)]]));
    const time = Number(timed[4]?.timestamp);
    assert.deepEqual(await valuesOf(topic, { from: { time } }), new Map([[0, numbered(4, 10)]]));
    assert.deepEqual(await valuesOf(topic, { first: 3, partitions: [0] }), new Map([[0, numbered(0, 3)]]));
    assert.deepEqual(await valuesOf(await createTopic(2)), new Map());
  });

  test("aborted and control records are left out, and an open transaction isn't waited for", async () => {
    const topic = await createTopic(1);
    const producer = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      transactionalId: randomUUID(),
    });
    await producer.connect();
    const send = async (value: string, end: "commit" | "abort" | "open"): Promise<void> => {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: [{ value }] });
      if (end !== "open") await transaction[end]();
    };
    await send("committed", "commit");
    await send("aborted", "abort");
    assert.deepEqual(await valuesOf(topic), new Map([[0, ["committed"]]]));
    await send("again", "commit");
    await send("open", "open");
    await produce(topic, [{ value: "behind it" }]);
    assert.deepEqual(await valuesOf(topic), new Map([[0, ["committed", "again"]]]));
    await producer.disconnect();
  });

  test("records that were deleted are passed over, also where it was told to start with them", async () => {
    const topic = await createTopic(1);
    await produce(
      topic,
      numbered(0, 10).map((value) => ({ value })),
    );
    // kafkajs deletes only from topics whose leaders it has looked up.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "6" }] });
    const offsets = new Map([[0, 2]]);
    assert.deepEqual(await valuesOf(topic, { from: { offsets } }), new Map([[0, numbered(6, 10)]]));
  });

  test("it can be left in the middle, and ended by a signal", async () => {
    const topic = await createTopic(2);
    await produce(
      topic,
      [0, 1].map((partition) => ({ partition, value: "one" })),
    );
    for await (const { messages } of readTopic({ kafka, brokers, topic })) {
      assert.equal(messages.length, 1);
      break;
    }
    const reason = new Error("enough");
    const stop = new AbortController();
    await assert.rejects(async () => {
      for await (const _ of readTopic({ kafka, brokers, topic, signal: stop.signal })) stop.abort(reason);
    }, reason);
  });

  test("a broker that restarts meanwhile costs time, and no record", async () => {
    await using stack = await startTestStack({ registry: false });
    const own = testKafka(stack.brokers);
    const ownAdmin = own.admin();
    await ownAdmin.connect();
    const topic = "restarted";
    await createTopics(ownAdmin, [{ topic, numPartitions: 1 }]);
    await ownAdmin.disconnect();
    const producer = own.producer();
    await producer.connect();
    const padding = "x".repeat(500_000);
    for (const value of numbered(0, 40)) {
      await producer.send({ topic, messages: [{ value, headers: { padding } }] });
    }
    await producer.disconnect();
    const read: string[] = [];
    let slices = 0;
    for await (const { messages } of readTopic({ kafka: own, brokers: stack.brokers, topic })) {
      read.push(...messages.map(({ value }) => String(value)));
      if (++slices === 2) await stack.restartBroker();
    }
    closeKafka(own);
    assert.ok(slices > 4, "it was restarted in the middle");
    assert.deepEqual(read, numbered(0, 40));
  });

  test("a topic that doesn't exist is explained", async () => {
    await assert.rejects(valuesOf("nowhere"), (error) => {
      assert.ok(error instanceof OptoutError);
      assert.equal(error.code, "topic_missing");
      assert.match(error.message, /"nowhere"/);
      return true;
    });
  });
});
