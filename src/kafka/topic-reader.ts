import { setTimeout as sleep } from "node:timers/promises";
import type { Kafka, KafkaMessage } from "kafkajs";
import Batch from "kafkajs/src/consumer/batch.js";
import { OptoutError } from "../errors.ts";
import { orAbort } from "../events/abort.ts";
import { type Cluster, createCluster, fetchFrom, READ_COMMITTED, READ_UNCOMMITTED } from "./cluster.ts";
import { explainKafkaError, kafkaErrorType } from "./errors.ts";

export interface TopicReadOptions {
  kafka: Kafka;
  /** For error messages: kafka.brokers as configured. */
  brokers: readonly string[];
  topic: string;
  /** Default: all of the topic's. */
  partitions?: readonly number[];
  /**
   * Default: each partition's first record. `time`, in milliseconds since the epoch: the first record that is not older.
   * `offsets`: these; a partition without one from its first record.
   */
  from?: { time: number } | { offsets: ReadonlyMap<number, number> };
  /** Of each partition no more than so many offsets, to look what is there. */
  first?: number;
  /** Also what transactions hold that are open or were aborted, and what lies behind an open one. */
  uncommitted?: boolean;
  /** Ends the reading with its reason. */
  signal?: AbortSignal;
}

/** Some records of one partition, in order. There may be none: what lay there was compacted away or aborted. */
export interface TopicSlice {
  partition: number;
  messages: readonly KafkaMessage[];
  /** Offsets behind the reader and in all, over all partitions. */
  progress: { done: number; total: number };
}

/** Where reading a partition is. */
interface Cursor {
  partition: number;
  position: number;
  end: number;
  /** How much to fetch at once. */
  bytes: number;
  isolation: number;
  /** Fetches in a row that held no record from its position on. */
  empty: number;
}

interface Fetched {
  cursor: Cursor;
  messages: readonly KafkaMessage[];
  position: number;
}

/** Bytes asked for at once, and for how many partitions at a time: with kafkajs' objects, some 50 MiB in memory. */
const FETCH_BYTES = 2 * 1024 * 1024;
/** Of a look at the first few records. A broker gives one batch of records at least, however large. */
const LOOK_BYTES = 64 * 1024;
const FETCHES_IN_FLIGHT = 3;
const MAX_WAIT_MS = 500;
/**
 * Compaction leaves batches that have lost their last records, or all; kafkajs doesn't tell where such a batch ends. At the
 * end of a segment it may be all that a fetch gives, so those offsets are passed one by one: as many as a batch may have.
 */
const MAX_EMPTY = 20_000;
/** A leader that is new may not know its end yet, so an empty answer is asked for once more before it is believed. */
const EMPTY_BELIEVED = 2;
/** Between failures in a row that may heal by themselves: doubling, six times. About ten seconds in all. */
const BACKOFF_MS = 200;
const MAX_FAILURES = 6;

/**
 * Reads a topic up to the end that it has now, without a consumer group, so it needs no more than READ on the topic and
 * is in nobody's way. Records that can't be read any more by retention are passed over, aborted ones left out. A few
 * slices are read ahead of the one that is being looked at. Rejects with an explained OptoutError.
 */
export async function* readTopic(options: TopicReadOptions): AsyncGenerator<TopicSlice, void, undefined> {
  const { kafka, brokers, topic } = options;
  const cluster = createCluster(kafka, isolationOf(options));
  // Whoever stops reading in the middle leaves fetches that were made ahead; they aren't to be tried again.
  const ended = new AbortController();
  const signal = AbortSignal.any([ended.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  try {
    await orAbort(cluster.connect(), signal);
    await orAbort(cluster.addTargetTopic(topic), signal);
    const finding = patiently(cluster, signal, () => findCursors(cluster, options));
    yield* readAll(cluster, await orAbort(finding, signal), topic, signal);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw explainKafkaError(error, { brokers, topic });
  } finally {
    ended.abort();
    // It waits for requests in flight, which nobody else does.
    cluster.disconnect().catch(() => {});
  }
}

/**
 * The offsets after the last records of a topic's partitions, whether or not an open transaction hides them from those who
 * read committed ones. Rejects with an explained OptoutError.
 */
export async function highWatermarks({
  kafka,
  brokers,
  topic,
}: Pick<TopicReadOptions, "kafka" | "brokers" | "topic">): Promise<Map<number, number>> {
  const cluster = createCluster(kafka, READ_UNCOMMITTED);
  try {
    await cluster.connect();
    await cluster.addTargetTopic(topic);
    const partitions = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId);
    const never = new AbortController().signal;
    return await patiently(cluster, never, () =>
      offsetsOf(cluster, topic, partitions, { fromBeginning: false }),
    );
  } catch (error) {
    throw explainKafkaError(error, { brokers, topic });
  } finally {
    cluster.disconnect().catch(() => {});
  }
}

const isolationOf = ({ uncommitted }: TopicReadOptions): number =>
  uncommitted === true ? READ_UNCOMMITTED : READ_COMMITTED;

async function* readAll(
  cluster: Cluster,
  cursors: readonly Cursor[],
  topic: string,
  signal: AbortSignal,
): AsyncGenerator<TopicSlice, void, undefined> {
  const left = (): number => cursors.reduce((sum, { position, end }) => sum + end - position, 0);
  const total = left();
  const waiting = cursors.filter(({ position, end }) => position < end);
  const inFlight = new Map<Cursor, Promise<Fetched>>();
  const fill = (): void => {
    while (inFlight.size < FETCHES_IN_FLIGHT) {
      const cursor = waiting.shift();
      if (cursor === undefined) return;
      const fetching = patiently(cluster, signal, () => fetchOnce(cluster, topic, cursor));
      // It may fail while another one is being waited for, or after that one has failed.
      fetching.catch(() => {});
      inFlight.set(cursor, fetching);
    }
  };
  for (fill(); inFlight.size > 0; ) {
    const { cursor, messages, position } = await orAbort(Promise.race(inFlight.values()), signal);
    inFlight.delete(cursor);
    cursor.position = Math.min(position, cursor.end);
    if (cursor.position < cursor.end) waiting.push(cursor);
    fill();
    yield { partition: cursor.partition, messages, progress: { done: total - left(), total } };
  }
}

/** Tries again what may heal by itself, such as a broker that is no more its partition's leader. */
async function patiently<T>(cluster: Cluster, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures++) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (failures >= MAX_FAILURES || !mayHeal(error)) throw error;
      await sleep(BACKOFF_MS * 2 ** failures, undefined, { signal });
      await cluster.refreshMetadata().catch(() => {});
    }
  }
}

const mayHeal = (error: unknown): boolean =>
  error instanceof Error && "retriable" in error && error.retriable === true;

async function fetchOnce(cluster: Cluster, topic: string, cursor: Cursor): Promise<Fetched> {
  const { partition, position, end, bytes, isolation, empty } = cursor;
  const leader = cluster
    .findTopicPartitionMetadata(topic)
    .find(({ partitionId }) => partitionId === partition);
  try {
    const broker = await cluster.findBroker({ nodeId: String(leader?.leader) });
    const [data] = await fetchFrom(broker, {
      isolationLevel: isolation,
      maxWaitTime: empty < EMPTY_BELIEVED ? MAX_WAIT_MS : 1,
      minBytes: 1,
      maxBytes: bytes,
      // One partition only: it is then sure to get records if it has any.
      topics: [{ topic, partitions: [{ partition, fetchOffset: String(position), maxBytes: bytes }] }],
    });
    const last = Number(data?.messages.at(-1)?.offset ?? -1);
    if (data === undefined || last < position) return passEmpty(cursor, topic, last >= 0);
    cursor.empty = 0;
    const { messages } = new Batch(topic, String(position), data);
    const within = messages.filter(({ offset }) => Number(offset) < end);
    return { cursor, messages: within, position: last + 1 };
  } catch (error) {
    if (kafkaErrorType(error) !== "OFFSET_OUT_OF_RANGE") throw error;
    const first = (await offsetsOf(cluster, topic, [partition], { fromBeginning: true })).get(partition) ?? 0;
    // Records expire while others are read. Otherwise the partition has become shorter than it was: not known to happen
    // but by an unclean leader election, or to a topic that is deleted and made anew.
    if (first > position) return { cursor, messages: [], position: first };
    throw new OptoutError(
      "kafka_unreachable",
      `Partition ${partition} of the topic "${topic}" lost records while it was read. Try again.`,
      { cause: error },
    );
  }
}

/** @param isBelieved records before the position came, so the leader knows that it has none at it */
function passEmpty(cursor: Cursor, topic: string, isBelieved: boolean): Fetched {
  const { partition, position } = cursor;
  cursor.empty++;
  if (cursor.empty > MAX_EMPTY) {
    throw new OptoutError(
      "kafka_unreachable",
      `Partition ${partition} of the topic "${topic}" gave no record for ${MAX_EMPTY} offsets before ${position}, though it goes on to ${cursor.end}. Read it from a later time on (--since), or try again.`,
    );
  }
  const passes = isBelieved || cursor.empty >= EMPTY_BELIEVED;
  return { cursor, messages: [], position: passes ? position + 1 : position };
}

async function findCursors(cluster: Cluster, options: TopicReadOptions): Promise<Cursor[]> {
  const { topic, partitions: wanted, from, first: most } = options;
  const existing = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId);
  const partitions = existing
    .filter((partition) => wanted?.includes(partition) ?? true)
    .sort((a, b) => a - b);
  if (partitions.length === 0) return [];
  const ends = await offsetsOf(cluster, topic, partitions, { fromBeginning: false });
  const firsts = await offsetsOf(cluster, topic, partitions, { fromBeginning: true });
  const chosen =
    from === undefined
      ? firsts
      : "offsets" in from
        ? from.offsets
        : await offsetsOf(cluster, topic, partitions, { fromTimestamp: from.time });
  return partitions.map((partition) => {
    const last = ends.get(partition) ?? 0;
    const first = firsts.get(partition) ?? 0;
    const start = chosen.get(partition) ?? first;
    const position = start < 0 ? last : Math.min(Math.max(start, first), last);
    const end = Math.min(last, position + (most ?? last));
    const bytes = most === undefined ? FETCH_BYTES : LOOK_BYTES;
    return { partition, position, end, bytes, isolation: isolationOf(options), empty: 0 };
  });
}

async function offsetsOf(
  cluster: Cluster,
  topic: string,
  partitions: readonly number[],
  where: { fromBeginning: boolean } | { fromTimestamp: number },
): Promise<Map<number, number>> {
  const query = { topic, partitions: partitions.map((partition) => ({ partition })), ...where };
  const answers = await cluster.fetchTopicsOffset([query]);
  return new Map(
    answers.flatMap((answer) =>
      answer.partitions.map(({ partition, offset }) => [partition, Number(offset)] as const),
    ),
  );
}
