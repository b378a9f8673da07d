import { randomUUID } from "node:crypto";
import type { Kafka, KafkaMessage } from "kafkajs";

export interface TopicFollower {
  stop(): Promise<void>;
}

/** Hands out every record of a topic, from its beginning and then as they come, outside any consumer group of the relay. */
export async function followTopic(
  kafka: Kafka,
  topic: string,
  onRecord: (message: KafkaMessage, partition: number) => void | Promise<void>,
): Promise<TopicFollower> {
  const consumer = kafka.consumer({ groupId: `optout-relay-follower-${randomUUID()}`, maxWaitTimeInMs: 250 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ message, partition }) => onRecord(message, partition),
  });
  return { stop: () => consumer.disconnect() };
}
