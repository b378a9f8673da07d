/** The records that every contender reads: the tests' own, so a phone tells which one it is (see `sink/tally.ts`). */
import { setTimeout as sleep } from "node:timers/promises";
import type { Kafka, Message } from "kafkajs";
import { createRecordProducer } from "../src/kafka/producer.ts";
import { createTopics } from "../test/support/kafka.ts";
import { optOut } from "../test/support/scenario.ts";

const CHUNK = 5_000;

const eventOf = (index: number, partitions: number): Message => ({
  ...optOut(index),
  partition: index % partitions,
});

export interface EventProducer {
  /** Writes the records from `from` to, not including, `to`, or one: record `i` goes to partition `i % partitions`. */
  send(from: number, to?: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function createEventProducer(
  kafka: Kafka,
  topic: string,
  partitions: number,
): Promise<EventProducer> {
  const producer = createRecordProducer(kafka);
  await producer.connect();
  return {
    send(from, to = from + 1) {
      const messages = Array.from({ length: to - from }, (_, index) => eventOf(from + index, partitions));
      return producer.send([{ topic, messages }]);
    },
    [Symbol.asyncDispose]: () => producer.disconnect(),
  };
}

/** Creates a topic with that many records. */
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
  await using producer = await createEventProducer(kafka, topic, partitions);
  for (let from = 0; from < events; from += CHUNK) await producer.send(from, Math.min(events, from + CHUNK));
}

/** Writes that many records a second, one at a time. @returns when each was handed to the producer. */
export async function sendSteadily(
  producer: EventProducer,
  events: number,
  perSecond: number,
): Promise<number[]> {
  const startedAt = Date.now();
  const sentAt: number[] = [];
  const sends: Promise<void>[] = [];
  for (let index = 0; index < events; index++) {
    await sleep(Math.max(0, startedAt + (index * 1_000) / perSecond - Date.now()));
    sentAt.push(Date.now());
    sends.push(producer.send(index));
  }
  await Promise.all(sends);
  return sentAt;
}

/** So many, or a few more, that each partition's share is whole batches: nobody waits for a batch that can't fill. */
export function wholeBatches(events: number, partitions: number, batch: number): number {
  const step = partitions * batch;
  return Math.ceil(events / step) * step;
}
