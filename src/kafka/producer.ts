import { setTimeout as sleep } from "node:timers/promises";
import type { Kafka, Message } from "kafkajs";
import { backoff } from "../delivery/retry.ts";
import { OptoutError } from "../errors.ts";
import { within } from "../within.ts";
import { type OutgoingRecord, sizeOf, type TopicRecords } from "./outgoing.ts";
import { createPartitioning, type Partitioning } from "./partitioner.ts";
import { carrierOf, mendProducing } from "./produce-request.ts";

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

/**
 * Writes records durably: `send` resolves only once all in-sync replicas have all of them, in at most a minute.
 * When it rejects, with kafkajs' error as it is or an OptoutError, any of them may nevertheless be there or come later:
 * send all again. Repeats are harmless here, by `statusId` and idempotency key; that is why the producer is not an
 * idempotent one, which can wedge in kafkajs.
 */
export interface RecordProducer {
  connect(): Promise<void>;
  send(records: readonly TopicRecords[]): Promise<void>;
  disconnect(): Promise<void>;
}

// Uncompressed: for status records in batches of 50, gzip cost twice the CPU and half again the time. Who wants them small
// on disk sets the topic's `compression.type`, and the broker does it.
export function createRecordProducer(kafka: Kafka): RecordProducer {
  mendProducing();
  const partitioning = createPartitioning();
  const producer = kafka.producer({
    createPartitioner: () => partitioning.partitioner,
    allowAutoTopicCreation: false,
    idempotent: false,
    retry: { retries: 0 },
  });

  /**
   * kafkajs' own retries can lose records: a broker that has answered isn't asked again, though a partition whose send
   * failed elsewhere may be led by it now. Each of these starts from nothing, so it may repeat some instead.
   */
  const sendRequest = async (request: TopicRecords[]): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        const topicMessages = request.map((records) => carried(records, partitioning));
        await producer.sendBatch({ acks: -1, timeout: ACKNOWLEDGE_TIMEOUT_MS, topicMessages });
        return;
      } catch (error) {
        partitioning.forget();
        if (attempt > RETRIES || !isWorthAnotherTry(error)) throw error;
        await sleep(backoff(attempt, RETRY, Math.random));
      }
    }
  };

  const sendAll = async (records: readonly TopicRecords[]): Promise<void> => {
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
export function requestsOf(records: readonly TopicRecords[]): TopicRecords[][] {
  const requests: TopicRecords[][] = [];
  let current: TopicRecords[] = [];
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

/** As kafkajs is handed them: those whose partition is known by partition, the others one by one. */
function carried({ topic, messages }: TopicRecords, { partitionOf }: Partitioning) {
  const byPartition = new Map<number, OutgoingRecord[]>();
  const others: OutgoingRecord[] = [];
  for (const record of messages) {
    const partition = partitionOf(topic, record);
    const known = partition === undefined ? others : byPartition.get(partition);
    if (known !== undefined) known.push(record);
    else if (partition !== undefined) byPartition.set(partition, [record]);
  }
  const carriers = [...byPartition].map(([partition, records]) => carrierOf(partition, records));
  // What is written is in our hands: kafkajs looks at keys and partitions only.
  return { topic, messages: [...carriers, ...(others as Message[])] };
}
