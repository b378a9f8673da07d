import { setTimeout as sleep } from "node:timers/promises";
import type { Kafka, Message, TopicMessages } from "kafkajs";
import { backoff } from "../delivery/retry.ts";
import { OptoutError } from "../errors.ts";
import { within } from "../within.ts";
import { createPartitioner } from "./partitioner.ts";
import { mendProducing } from "./produce-request.ts";

export type { Message, TopicMessages } from "kafkajs";

/** Milliseconds the brokers may take to have a request on all in-sync replicas. */
const ACKNOWLEDGE_TIMEOUT_MS = 10_000;
/** Milliseconds for a `send` with all of kafkajs' retries; also a lock on promises that it forgets to settle. */
const SEND_TIMEOUT_MS = 60_000;
const DISCONNECT_TIMEOUT_MS = 10_000;
const RETRIES = 5;
const RETRY = { initialBackoff: 200, maxBackoff: 2_000 };
/**
 * kafkajs makes one record batch of everything a request holds for a partition, and brokers refuse one above
 * `max.message.bytes` (1 MiB unless changed) as a whole, for ever. A quarter is left for framing.
 */
const MAX_REQUEST_BYTES = 768 * 1024;
const RECORD_OVERHEAD_BYTES = 32;

/**
 * Writes records durably: `send` resolves only once all in-sync replicas have all of them, in at most a minute.
 * When it rejects, with kafkajs' error as it is or an OptoutError, any of them may nevertheless be there or come later:
 * send all again. Repeats are harmless here, by `statusId` and idempotency key; that is why the producer is not an
 * idempotent one, which can wedge in kafkajs.
 */
export interface RecordProducer {
  connect(): Promise<void>;
  send(records: readonly TopicMessages[]): Promise<void>;
  disconnect(): Promise<void>;
}

// Uncompressed: for status records in batches of 50, gzip cost twice the CPU and half again the time. Who wants them small
// on disk sets the topic's `compression.type`, and the broker does it.
export function createRecordProducer(kafka: Kafka): RecordProducer {
  mendProducing();
  const producer = kafka.producer({
    createPartitioner,
    allowAutoTopicCreation: false,
    idempotent: false,
    retry: { retries: 0 },
  });

  /**
   * kafkajs' own retries can lose records: a broker that has answered isn't asked again, though a partition whose send
   * failed elsewhere may be led by it now. Each of these starts from nothing, so it may repeat some instead.
   */
  const sendRequest = async (topicMessages: TopicMessages[]): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        await producer.sendBatch({ acks: -1, timeout: ACKNOWLEDGE_TIMEOUT_MS, topicMessages });
        return;
      } catch (error) {
        if (attempt > RETRIES || !isWorthAnotherTry(error)) throw error;
        await sleep(backoff(attempt, RETRY, Math.random));
      }
    }
  };

  const sendAll = async (records: readonly TopicMessages[]): Promise<void> => {
    for (const request of requestsOf(records)) await sendRequest(request);
  };

  return {
    connect: () => producer.connect(),
    send: (records) =>
      within(
        SEND_TIMEOUT_MS,
        sendAll(records),
        tooLate("Kafka has not acknowledged records", SEND_TIMEOUT_MS),
      ),
    disconnect: () =>
      within(
        DISCONNECT_TIMEOUT_MS,
        producer.disconnect(),
        tooLate("Kafka connections did not close", DISCONNECT_TIMEOUT_MS),
      ),
  };
}

const tooLate = (what: string, timeout: number) => () =>
  new OptoutError("kafka_unreachable", `${what} within ${timeout / 1_000} s.`);

/** With no retries allowed, kafkajs ends so what it would have retried, and otherwise what is final. */
const isWorthAnotherTry = (error: unknown): boolean =>
  error instanceof Error && error.name === "KafkaJSNumberOfRetriesExceeded";

/** Cuts records into requests of bounded size, in their order; one that is larger by itself goes alone. */
export function requestsOf(records: readonly TopicMessages[]): TopicMessages[][] {
  const requests: TopicMessages[][] = [];
  let current: TopicMessages[] = [];
  let bytes = 0;
  for (const { topic, messages } of records) {
    for (const message of messages) {
      const size = sizeOf(message);
      if (current.length > 0 && bytes + size > MAX_REQUEST_BYTES) {
        requests.push(current);
        current = [];
        bytes = 0;
      }
      const last = current.at(-1);
      if (last?.topic === topic) last.messages.push(message);
      else current.push({ topic, messages: [message] });
      bytes += size;
    }
  }
  if (current.length > 0) requests.push(current);
  return requests;
}

/** What a record takes in a request, a few bytes more or less. */
export function sizeOf({ key, value, headers }: Message): number {
  let bytes = RECORD_OVERHEAD_BYTES + lengthOf(key) + lengthOf(value);
  if (headers === undefined) return bytes;
  for (const [name, given] of Object.entries(headers)) {
    for (const each of Array.isArray(given) ? given : [given]) bytes += lengthOf(name) + lengthOf(each);
  }
  return bytes;
}

const lengthOf = (part: Buffer | string | null | undefined): number =>
  part === null || part === undefined ? 0 : Buffer.byteLength(part);
