import type { Kafka, KafkaMessage } from "kafkajs";

/**
 * The part of kafkajs under its clients, for what those can't do: to read a partition without a consumer group. A group
 * costs its user a permission, and every start the brokers' `group.initial.rebalance.delay.ms`, 3 s unless changed.
 */
export interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  /** Makes the topic's metadata known. */
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  findBroker(which: { nodeId: string }): Promise<Broker>;
  /** Ends are those that its isolation shows: of committed records, an open transaction hides what comes after its first. */
  fetchTopicsOffset(
    topics: readonly OffsetQuery[],
  ): Promise<{ topic: string; partitions: PartitionOffset[] }[]>;
}

export interface OffsetQuery {
  topic: string;
  partitions: readonly { partition: number }[];
  fromBeginning?: boolean;
  /** Milliseconds since the epoch. */
  fromTimestamp?: number;
}

export interface PartitionOffset {
  partition: number;
  /** -1: no record is as young as was asked for. */
  offset: string;
}

export interface Broker {
  connectionPool: { getConnection(index: number): Promise<unknown> };
  fetch(request: FetchRequest): Promise<{ responses: { partitions: FetchedPartition[] }[] }>;
}

export interface FetchRequest {
  isolationLevel: number;
  /** Milliseconds. */
  maxWaitTime: number;
  minBytes: number;
  maxBytes: number;
  topics: {
    topic: string;
    partitions: { partition: number; fetchOffset: string; maxBytes: number }[];
  }[];
}

export interface FetchedPartition {
  partition: number;
  highWatermark: string;
  /** Control and aborted records among them; `Batch` of kafkajs leaves them out. */
  messages: KafkaMessage[];
}

export const READ_UNCOMMITTED = 0;
export const READ_COMMITTED = 1;

/** A connection of its own to the brokers of a client, closed by `disconnect` or with the client. */
export function createCluster(kafka: Kafka, isolationLevel = READ_COMMITTED): Cluster {
  const key = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === "private:Kafka:createCluster",
  );
  const create: unknown = key === undefined ? undefined : Reflect.get(kafka, key);
  if (typeof create !== "function") throw new Error("this kafkajs has no createCluster");
  return create({ allowAutoTopicCreation: false, metadataMaxAge: 300_000, isolationLevel });
}

/** The connection of a broker that kafkajs fetches over. */
const FETCH_CONNECTION = 1;
const connecting = new WeakMap<Broker, Promise<unknown>>();

/** A fetch. Where several are the first ones, kafkajs would open a socket for each, and close but one of them again. */
export async function fetchFrom(broker: Broker, request: FetchRequest): Promise<FetchedPartition[]> {
  const connected =
    connecting.get(broker) ??
    broker.connectionPool.getConnection(FETCH_CONNECTION).finally(() => connecting.delete(broker));
  connecting.set(broker, connected);
  await connected;
  const { responses } = await broker.fetch(request);
  return responses.flatMap(({ partitions }) => partitions);
}
