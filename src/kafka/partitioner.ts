import kafkajs, { type ICustomPartitioner } from "kafkajs";
import type { OutgoingRecord } from "./outgoing.ts";

/**
 * Kafka's default partitioner, as `Partitioners.DefaultPartitioner` of kafkajs 2.2.4, which counts in objects of 64 bits and
 * looks at every partition for each record. Worth: 8 % of the relay's processor time, with a status for every event.
 */
export const createPartitioner: ICustomPartitioner = () => {
  const turns = new Map<string, number>();

  /** For records without a key, one partition after the other, of those that have a leader if any has. */
  const inTurn = (topic: string, partitions: { partitionId: number; leader: number }[]): number => {
    const turn = turns.get(topic) ?? Math.floor(Math.random() * partitions.length);
    turns.set(topic, (turn + 1) % Number.MAX_SAFE_INTEGER);
    const led = partitions.filter(({ leader }) => leader >= 0);
    const among = led.length > 0 ? led : partitions;
    return among[turn % among.length]?.partitionId ?? 0;
  };

  return ({ topic, partitionMetadata, message: { key, partition } }) => {
    if (partition !== undefined && partition !== null) return partition;
    if (key === null || key === undefined) return inTurn(topic, partitionMetadata);
    return partitionOf(key, partitionMetadata.length);
  };
};

/** A partitioner that remembers how many partitions topics have, so that records can be grouped before kafkajs has them. */
export interface Partitioning {
  readonly partitioner: ReturnType<ICustomPartitioner>;
  /** Undefined if it takes kafkajs to say: the topic is new, or the record has no key. */
  partitionOf(topic: string, record: OutgoingRecord): number | undefined;
  /** Something has changed, perhaps. */
  forget(): void;
}

export function createPartitioning(): Partitioning {
  const counts = new Map<string, number>();
  const choose = createPartitioner();
  return {
    partitioner(of) {
      const { topic, partitionMetadata } = of;
      counts.set(topic, partitionMetadata.length);
      const chosen = choose(of);
      if (partitionMetadata.some(({ partitionId }) => partitionId === chosen)) return chosen;
      // kafkajs would drop the records without a word.
      throw new kafkajs.KafkaJSError(`topic "${topic}" has no partition ${chosen}`, { retriable: true });
    },
    partitionOf(topic, { key, partition }) {
      const count = counts.get(topic);
      if (count === undefined) return undefined;
      return partition ?? (key === null || key === undefined ? undefined : partitionOf(key, count));
    },
    forget: () => counts.clear(),
  };
}

/** Where a keyed record goes in a topic of so many partitions; so do the Java client and librdkafka's murmur2. */
export const partitionOf = (key: string | Buffer, partitions: number): number =>
  (murmur2(typeof key === "string" ? Buffer.from(key) : key) & 0x7fffffff) % partitions;

const SEED = 0x9747b28c;
const MULTIPLIER = 0x5bd1e995;

/** Of 32 bits, signed: as in Kafka's `org.apache.kafka.common.utils.Utils`. */
export function murmur2(data: Uint8Array): number {
  const { length } = data;
  const byte = (at: number): number => data[at] ?? 0;
  let hash = SEED ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    const word = byte(at) | (byte(at + 1) << 8) | (byte(at + 2) << 16) | (byte(at + 3) << 24);
    const mixed = Math.imul(word, MULTIPLIER);
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(mixed ^ (mixed >>> 24), MULTIPLIER);
  }
  if (at < length) {
    // What lies behind the end counts as zeros.
    hash = Math.imul(hash ^ byte(at) ^ (byte(at + 1) << 8) ^ (byte(at + 2) << 16), MULTIPLIER);
  }
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER);
  return hash ^ (hash >>> 15);
}
