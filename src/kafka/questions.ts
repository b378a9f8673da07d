import kafkajs from "kafkajs";

/**
 * Two questions in the versions that tell what the asking user is allowed to do (KIP-430), which kafkajs doesn't speak.
 * https://kafka.apache.org/protocol#The_Messages_Metadata and #The_Messages_DescribeGroups
 */
export interface Question<Answer> {
  apiKey: number;
  apiVersion: number;
  apiName: string;
  body: Buffer;
  /** Throws a RangeError on an answer that is cut short. */
  decode(payload: Buffer): Answer;
}

/** Kafka's numbers of what a user can be allowed to do. */
const OPERATIONS = [
  ["READ", 3],
  ["WRITE", 4],
  ["CREATE", 5],
  ["DESCRIBE", 8],
  ["DESCRIBE_CONFIGS", 10],
] as const;
export type Operation = (typeof OPERATIONS)[number][0];

/** Undefined if the broker didn't say. */
export type Allowed = ReadonlySet<Operation> | undefined;

export interface PartitionView {
  partition: number;
  /** -1: none. */
  leader: number;
  replicas: readonly number[];
  inSync: readonly number[];
}

export interface TopicView {
  name: string;
  /** Kafka's code, 0 for none. */
  errorCode: number;
  partitions: readonly PartitionView[];
  allowed: Allowed;
}

export interface ClusterView {
  clusterId: string;
  brokers: readonly { nodeId: number; address: string }[];
  topics: readonly TopicView[];
}

export const TOPIC_UNKNOWN = 3;
export const TOPIC_UNAUTHORIZED = 29;
/** A topic that is just being made. */
export const TOPIC_WITHOUT_LEADER = 5;

export interface GroupView {
  errorCode: number;
  /** `Dead` if there is no such group. */
  state: string;
  protocolType: string;
  protocol: string;
  members: readonly { clientId: string; topics: readonly string[] | undefined }[];
  allowed: Allowed;
}

export function askCluster(names: readonly string[]): Question<ClusterView> {
  const creating = 0;
  const [aboutCluster, aboutTopics] = [0, 1];
  return {
    ...{ apiKey: 3, apiVersion: 8, apiName: "Metadata" },
    body: Buffer.concat([strings(names), Buffer.of(creating, aboutCluster, aboutTopics)]),
    decode(payload) {
      const read = reader(payload);
      read.int32();
      const brokers = read.array(() => {
        const nodeId = read.int32();
        const address = `${read.text()}:${read.int32()}`;
        read.text();
        return { nodeId, address };
      });
      const clusterId = read.text();
      read.int32();
      const topics = read.array(() => topicOf(read));
      read.int32();
      return { clusterId, brokers, topics };
    },
  };
}

function topicOf(read: Reader): TopicView {
  const errorCode = read.int16();
  const name = read.text();
  read.int8();
  const partitions = read.array(() => {
    read.int16();
    const [partition, leader] = [read.int32(), read.int32()];
    read.int32();
    const [replicas, inSync] = [read.array(read.int32), read.array(read.int32)];
    read.array(read.int32);
    return { partition, leader, replicas, inSync };
  });
  return { name, errorCode, partitions, allowed: allowedIn(read.int32()) };
}

export function askGroup(groupId: string): Question<GroupView> {
  return {
    ...{ apiKey: 15, apiVersion: 3, apiName: "DescribeGroups" },
    body: Buffer.concat([strings([groupId]), Buffer.of(1)]),
    decode(payload) {
      const read = reader(payload);
      read.int32();
      const [group] = read.array(() => groupOf(read));
      if (group === undefined) throw new RangeError("the answer is about no group");
      return group;
    },
  };
}

function groupOf(read: Reader): GroupView {
  const errorCode = read.int16();
  read.text();
  const [state, protocolType, protocol] = [read.text(), read.text(), read.text()];
  const members = read.array(() => {
    read.text();
    const clientId = read.text();
    read.text();
    const topics = protocolType === "consumer" ? subscriptionOf(read.bytes()) : void read.bytes();
    read.bytes();
    return { clientId, topics };
  });
  return { errorCode, state, protocolType, protocol, members, allowed: allowedIn(read.int32()) };
}

/** Undefined while the group is rebalancing, when nothing is said, and of what can't be read. */
function subscriptionOf(bytes: Buffer): readonly string[] | undefined {
  try {
    return bytes.length === 0 ? undefined : kafkajs.AssignerProtocol.MemberMetadata.decode(bytes)?.topics;
  } catch {
    return undefined;
  }
}

const NOT_SAID = -(2 ** 31);

function allowedIn(bits: number): Allowed {
  if (bits === NOT_SAID) return undefined;
  return new Set(OPERATIONS.filter(([, bit]) => (bits >> bit) & 1).map(([name]) => name));
}

function strings(values: readonly string[]): Buffer {
  const count = Buffer.alloc(4);
  count.writeInt32BE(values.length);
  const each = values.flatMap((value) => {
    const length = Buffer.alloc(2);
    length.writeInt16BE(Buffer.byteLength(value));
    return [length, Buffer.from(value)];
  });
  return Buffer.concat([count, ...each]);
}

type Reader = ReturnType<typeof reader>;

function reader(payload: Buffer) {
  let at = 0;
  const next = (size: number): number => {
    at += size;
    return at - size;
  };
  const int32 = (): number => payload.readInt32BE(next(4));
  const cut = (length: number): Buffer => {
    const from = next(Math.max(length, 0));
    if (at > payload.length) throw new RangeError("the answer is cut short");
    return payload.subarray(from, at);
  };
  return {
    int8: (): number => payload.readInt8(next(1)),
    int16: (): number => payload.readInt16BE(next(2)),
    int32,
    /** Empty for null. */
    text: (): string => cut(payload.readInt16BE(next(2))).toString(),
    bytes: (): Buffer => cut(int32()),
    array<T>(item: () => T): T[] {
      const items: T[] = [];
      for (let left = int32(); left > 0; left--) items.push(item());
      return items;
    },
  };
}
