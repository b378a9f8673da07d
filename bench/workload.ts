/** The records that every contender reads. They are the tests' own, so a phone tells which one it is: see `indexOf`. */
import { type Kafka, type Message, Partitioners } from "kafkajs";
import { createTopics } from "../test/support/kafka.ts";
import { optOut } from "../test/support/scenario.ts";

const CHUNK = 5_000;

/** Creates a topic and fills it, partition by partition in turns: record `i` is in partition `i % partitions`. */
export async function fillTopic(
  kafka: Kafka,
  topic: string,
  events: number,
  partitions: number,
): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  await createTopics(admin, [{ topic, numPartitions: partitions, replicationFactor: 1 }]);
  await admin.disconnect();
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  for (let from = 0; from < events; from += CHUNK) {
    const messages = Array.from({ length: Math.min(CHUNK, events - from) }, (_, index) =>
      eventOf(from + index, partitions),
    );
    await producer.send({ topic, messages });
  }
  await producer.disconnect();
}

export const eventOf = (index: number, partitions: number): Message => ({
  ...optOut(index),
  partition: index % partitions,
});

/** So many that each partition's share is whole batches: nobody waits for a batch that can't fill. */
export function wholeBatches(events: number, partitions: number, batch: number): number {
  const step = partitions * batch;
  return Math.max(1, Math.round(events / step)) * step;
}
