import type { Kafka, KafkaMessage } from "kafkajs";
import { decodeLedger } from "../../src/batching/ledger.ts";
import { readTopic } from "../../src/kafka/topic-reader.ts";
import type { CommitEvidence, Generation } from "./evidence.ts";

const TOPIC = "__consumer_offsets";
/** Key schemas of the offsets topic: offset commits are 0 and 1, group metadata 2. */
const MAX_OFFSET_KEY = 1;
const GROUP_KEY = 2;
/** Of the values of both. */
const FIRST_FLEXIBLE = 4;

/** Reads Kafka's own serialisation, big-endian; `isFlexible`: of the newer kind, with lengths as varints and tags (KIP-482). */
function readerOf(bytes: Buffer, isFlexible = false) {
  let at = 0;
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new RangeError("a record of the offsets topic is too short");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const int16 = (): number => take(2).readInt16BE();
  const int32 = (): number => take(4).readInt32BE();
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = take(1).readUInt8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  const length = (): number => (isFlexible ? varint() - 1 : int32());
  return {
    int16,
    int32,
    int64: (): number => Number(take(8).readBigInt64BE()),
    /** Null: none. */
    string: (): string | null => {
      const size = isFlexible ? varint() - 1 : int16();
      return size < 0 ? null : take(size).toString();
    },
    bytes: (): Buffer => take(Math.max(0, length())),
    /** Of an array. */
    length,
    skipTags(): void {
      for (let left = isFlexible ? varint() : 0; left > 0; left--) {
        varint();
        take(varint());
      }
    },
  };
}

/** Of values that begin with their version. */
function valueReader(value: Buffer) {
  const version = value.readInt16BE();
  const from = readerOf(value, version >= FIRST_FLEXIBLE);
  from.int16();
  return { version, from };
}

interface OffsetsTopicOptions {
  kafka: Kafka;
  brokers: readonly string[];
  groupId: string;
  topic: string;
  environments: readonly string[];
  /** Milliseconds since the epoch: nothing of the group is older. */
  since: number;
}

export interface GroupHistory {
  commits: Map<number, CommitEvidence[]>;
  generations: Generation[];
}

/**
 * All that the group coordinator wrote down about a group, in order: every offset commit, and who owned which partition in
 * every generation. A member's client id must be its process' name.
 */
export async function readGroupHistory(options: OffsetsTopicOptions): Promise<GroupHistory> {
  const { kafka, brokers, since } = options;
  const history: GroupHistory = { commits: new Map(), generations: [] };
  for await (const { messages } of readTopic({ kafka, brokers, topic: TOPIC, from: { time: since } })) {
    for (const message of messages) addRecord(history, message, options);
  }
  return history;
}

function addRecord(history: GroupHistory, message: KafkaMessage, options: OffsetsTopicOptions): void {
  if (message.key === null) return;
  const key = readerOf(message.key);
  const version = key.int16();
  const at = Number(message.timestamp);
  if (key.string() !== options.groupId || message.value === null) return;
  if (version === GROUP_KEY) {
    history.generations.push({ at, owners: ownersOf(message.value, options.topic) });
  } else if (version <= MAX_OFFSET_KEY && key.string() === options.topic) {
    const commit = commitOf(message.value, { partition: key.int32(), at }, options.environments);
    const { partition } = commit;
    const known = history.commits.get(partition);
    if (known === undefined) history.commits.set(partition, [commit]);
    else known.push(commit);
  }
}

/** OffsetCommitValue, version 3 on: offset, leader epoch, metadata. */
function commitOf(
  value: Buffer,
  where: { partition: number; at: number },
  environments: readonly string[],
): CommitEvidence {
  const { version, from } = valueReader(value);
  const offset = from.int64();
  if (version >= 3) from.int32();
  const metadata = from.string() ?? "";
  const decoded = decodeLedger(offset, metadata, environments);
  return { ...where, offset, metadata, ledger: decoded.ok ? decoded.batches : null };
}

/** GroupMetadataValue, version 3: protocol type, generation, protocol, leader, time, members. */
function ownersOf(value: Buffer, topic: string): Map<number, string> {
  const owners = new Map<number, string>();
  const { version, from } = valueReader(value);
  from.string();
  from.int32();
  from.string();
  from.string();
  if (version >= 2) from.int64();
  for (let left = from.length(); left > 0; left--) {
    from.string();
    if (version >= 3) from.string();
    const clientId = from.string() ?? "";
    from.string();
    if (version >= 1) from.int32();
    from.int32();
    from.bytes();
    for (const partition of partitionsOf(from.bytes(), topic)) owners.set(partition, clientId);
    from.skipTags();
  }
  return owners;
}

/** MemberAssignment of the consumer protocol: version, then topics with their partitions. */
function partitionsOf(assignment: Buffer, topic: string): number[] {
  if (assignment.length === 0) return [];
  const from = readerOf(assignment);
  from.int16();
  const partitions: number[] = [];
  for (let topics = from.int32(); topics > 0; topics--) {
    const name = from.string();
    for (let left = from.int32(); left > 0; left--) {
      const partition = from.int32();
      if (name === topic) partitions.push(partition);
    }
  }
  return partitions;
}
