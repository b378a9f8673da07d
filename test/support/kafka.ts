import { randomUUID } from "node:crypto";
import type { Admin, ITopicConfig, Kafka, KafkaMessage } from "kafkajs";
import { createKafka } from "../../src/kafka/client.ts";
import { waitForLeaders } from "../../src/kafka/topics.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { PATIENCE_MS } from "./wait.ts";

/** A client with the product's own settings, for the test's side of things. */
export const testKafka = (brokers: string[]): Kafka =>
  createKafka(
    { brokers, clientId: "test", groupId: "test", ssl: false, sessionTimeout: 10_000 },
    silentLogger(),
  );

/** kafkajs' own wait for leaders fails if the broker that it asks hasn't heard of a new topic yet. */
export async function createTopics(admin: Admin, topics: ITopicConfig[]): Promise<void> {
  await admin.createTopics({ topics, waitForLeaders: false });
  await waitForLeaders(
    admin,
    topics.map(({ topic }) => topic),
  );
}

/** Commits for partition 0 as another member of the group would. Nobody else may be in it. */
export async function commitAs(
  kafka: Kafka,
  to: { groupId: string; topic: string; offset: number; metadata: string },
): Promise<void> {
  const { groupId, topic, offset, metadata } = to;
  const consumer = kafka.consumer({ groupId });
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    const joined = new Promise<void>((resolve) => {
      consumer.on(consumer.events.GROUP_JOIN, () => {
        // It must not fetch: kafkajs would replace an offset that isn't there.
        consumer.pause([{ topic }]);
        resolve();
      });
    });
    await consumer.run({ autoCommit: false, eachBatch: async () => {} });
    await joined;
    await consumer.commitOffsets([{ topic, partition: 0, offset: String(offset), metadata }]);
  } finally {
    await consumer.disconnect();
  }
}

export type TopicRecord = KafkaMessage & { partition: number };

export async function endOffsets(admin: Admin, topic: string): Promise<Map<number, number>> {
  return new Map(
    (await admin.fetchTopicOffsets(topic)).map(({ partition, high }) => [partition, Number(high)]),
  );
}

/** Everything that is in the topic now, from its beginning to its present end. */
export async function readTopic(kafka: Kafka, admin: Admin, topic: string): Promise<TopicRecord[]> {
  const ends = await endOffsets(admin, topic);
  const open = new Set([...ends].filter(([, end]) => end > 0).map(([partition]) => partition));
  const records: TopicRecord[] = [];
  if (open.size === 0) return records;
  const consumer = kafka.consumer({ groupId: `reader-${randomUUID()}`, maxWaitTimeInMs: 100 });
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`reading ${topic} took too long`)), PATIENCE_MS);
      consumer
        .run({
          eachBatch: async ({ batch }) => {
            for (const message of batch.messages) records.push({ ...message, partition: batch.partition });
            if (Number(batch.lastOffset()) + 1 >= (ends.get(batch.partition) ?? 0))
              open.delete(batch.partition);
            if (open.size > 0) return;
            clearTimeout(timer);
            resolve();
          },
        })
        .catch(reject);
    });
  } finally {
    await consumer.disconnect();
  }
  return records.filter(({ partition, offset }) => Number(offset) < (ends.get(partition) ?? 0));
}
