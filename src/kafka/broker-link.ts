import kafkajs, { type Kafka } from "kafkajs";
import type { Config } from "../config/schema.ts";
import { OptoutError } from "../errors.ts";
import { silentLogger } from "../observability/logger.ts";
import { closeKafka, createKafka } from "./client.ts";
import { createCluster } from "./cluster.ts";
import { askCluster, askGroup, type ClusterView, type GroupView, type Question } from "./questions.ts";

/**
 * A connection to one broker and no other, for finding out what is wrong with it: kafkajs' own clients go on to another
 * broker, try again for long, and answer for the cluster. Nothing asked here changes anything. Rejects with kafkajs'
 * errors, or an OptoutError.
 */
export interface BrokerLink {
  cluster(topics: readonly string[]): Promise<ClusterView>;
  group(groupId: string): Promise<GroupView>;
  /** Address of the broker that a group belongs to. */
  coordinatorOf(groupId: string): Promise<string>;
  /** Of those partitions that have one. */
  committed(groupId: string, topic: string, partitions: readonly number[]): Promise<Commit[]>;
  /** Settings by name; of a topic any broker can be asked, of a broker only that one itself. */
  settings(of: { topic: string } | { nodeId: number }): Promise<ReadonlyMap<string, string>>;
}

export interface Commit {
  partition: number;
  offset: number;
  metadata: string;
}

/** The parts of kafkajs used here. */
interface BrokerPool {
  createSeedBroker(): Promise<void>;
  seedBroker: SeedBroker;
}

/** What kafkajs takes for one of its encoders. */
interface Encoded {
  buf: Buffer;
  buffer: Buffer;
}

interface SeedBroker {
  connect(): Promise<void>;
  /** By API key, once it is connected. */
  versions: Record<number, { maxVersion: number }>;
  connectionPool: {
    send<Decoded>(exchange: {
      request: { apiKey: number; apiVersion: number; apiName: string; encode(): Promise<Encoded> };
      response: { decode(payload: Buffer): Promise<Decoded>; parse(decoded: Decoded): Promise<Decoded> };
    }): Promise<Decoded>;
  };
  findGroupCoordinator(request: {
    groupId: string;
    coordinatorType: number;
  }): Promise<{ coordinator: { host: string; port: number } }>;
  offsetFetch(request: {
    groupId: string;
    topics: { topic: string; partitions: { partition: number }[] }[];
  }): Promise<{
    responses: { partitions: { partition: number; offset: string; metadata: string | null }[] }[];
  }>;
  describeConfigs(request: {
    resources: { type: number; name: string }[];
  }): Promise<{ resources: { configEntries: { configName: string; configValue: string | null }[] }[] }>;
}

const GROUP_COORDINATOR = 0;

/** Connects and logs in to the broker at `address`, trying once. The signal is the end of the link, made or in the making. */
export async function openBroker(
  config: Config["kafka"],
  address: string,
  signal: AbortSignal,
): Promise<BrokerLink> {
  const kafka = createKafka({ ...config, brokers: [address] }, silentLogger());
  signal.addEventListener("abort", () => closeKafka(kafka), { once: true });
  const pool = brokerPoolOf(kafka);
  await pool.createSeedBroker();
  await pool.seedBroker.connect();
  return linkTo(pool.seedBroker);
}

function linkTo(broker: SeedBroker): BrokerLink {
  const ask = <Answer>({ body, decode, ...request }: Question<Answer>): Promise<Answer> => {
    if ((broker.versions[request.apiKey]?.maxVersion ?? 0) < request.apiVersion) {
      throw new OptoutError("configuration", "The broker is older than Kafka 2.3. Use a newer one.");
    }
    return broker.connectionPool.send({
      request: { ...request, encode: async () => ({ buf: body, buffer: body }) },
      response: { decode: async (payload) => decode(payload), parse: async (decoded) => decoded },
    });
  };
  return {
    cluster: async (topics) => ask(askCluster(topics)),
    group: async (groupId) => ask(askGroup(groupId)),
    async coordinatorOf(groupId) {
      const request = { groupId, coordinatorType: GROUP_COORDINATOR };
      const { coordinator } = await broker.findGroupCoordinator(request);
      return `${coordinator.host}:${coordinator.port}`;
    },
    async committed(groupId, topic, partitions) {
      const topics = [{ topic, partitions: partitions.map((partition) => ({ partition })) }];
      const { responses } = await broker.offsetFetch({ groupId, topics });
      return responses
        .flatMap((response) => response.partitions)
        .map(({ partition, offset, metadata }) => ({
          ...{ partition, offset: Number(offset), metadata: metadata ?? "" },
        }))
        .filter(({ offset }) => offset >= 0);
    },
    async settings(of) {
      const { TOPIC, BROKER } = kafkajs.ConfigResourceTypes;
      const resource =
        "topic" in of ? { type: TOPIC, name: of.topic } : { type: BROKER, name: String(of.nodeId) };
      const { resources } = await broker.describeConfigs({ resources: [resource] });
      const entries = resources.flatMap(({ configEntries }) => configEntries);
      return new Map(entries.map(({ configName, configValue }) => [configName, configValue ?? ""]));
    },
  };
}

function brokerPoolOf(kafka: Kafka): BrokerPool {
  const pool: unknown = Reflect.get(createCluster(kafka), "brokerPool");
  if (!isBrokerPool(pool)) throw new Error("this kafkajs has no broker pool");
  return pool;
}

const isBrokerPool = (value: unknown): value is BrokerPool =>
  typeof value === "object" && value !== null && "createSeedBroker" in value;
