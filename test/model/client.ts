import type { Admin, Kafka as KafkaClient } from "kafkajs";
import createKafkajsConsumer from "kafkajs/src/consumer/index.js";
import { KafkaJSError, KafkaJSOffsetOutOfRange } from "kafkajs/src/errors.js";
import InstrumentationEventEmitter from "kafkajs/src/instrumentation/emitter.js";
import { createLogger } from "kafkajs/src/loggers/index.js";
import type { RecordProducer } from "../../src/kafka/producer.ts";
import { EVENTS, GROUP_ID, type Kafka } from "./broker.ts";
import { brokerError, type JoinAnswer } from "./group.ts";
import type { Outcome, Wire } from "./wire.ts";

/** What goes wrong with Kafka for one process, until it is mended. */
export interface KafkaFaults {
  /** Errors with which its next commits are answered; "lost": applied, and answered with an error nevertheless. */
  commits: string[];
  /** Its next sends of results fail, those of "lost" after the records were written. */
  results: ("refused" | "lost")[];
  /** Errors with which its next fetches are answered. */
  fetches: string[];
}

export interface ClientOptions {
  process: number;
  wire: Wire;
  kafka: Kafka;
  faults: KafkaFaults;
  /** Records of the status and dead-letter topics, as they are written. */
  onResults(topic: string, values: readonly Buffer[]): void;
}

const LEADER = "leader";
const COORDINATOR = "coordinator";
const ADMIN = "coordinator of the admin client";
const LEADER_OF_ADMIN = "leader of the admin client";
const PRODUCER = "producer";
const READ_COMMITTED = 1;
/** As the product's client has it. */
const REQUEST_TIMEOUT_MS = 15_000;
const JOIN_TIMEOUT_MS = 60_000;

const logger = createLogger({ level: 0, logCreator: () => () => {} });

export const connectionLost = (): Error => new KafkaJSError("the connection is lost", { retriable: true });

export const outOfRange = (partition: number): Error =>
  new KafkaJSOffsetOutOfRange(brokerError("OFFSET_OUT_OF_RANGE"), { topic: EVENTS, partition });

interface Commits {
  groupId: string;
  memberId: string;
  groupGenerationId: number;
  topics: { topic: string; partitions: { partition: number; offset: unknown; metadata?: string | null }[] }[];
}

export type Client = ReturnType<typeof createClient>;

/** kafkajs' own consumer of one process over made-up brokers, an admin client, and a producer of results. */
export function createClient(options: ClientOptions) {
  const { wire, kafka, faults } = options;

  /** With kafkajs' timeout. */
  const ask = <T>(
    connection: string,
    what: string,
    handle: (answer: (outcome: Outcome<T>) => void) => void,
    timeout = REQUEST_TIMEOUT_MS,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new KafkaJSError(`${what} had no answer`)), timeout);
      const end = () => clearTimeout(timer);
      wire.call<T>(connection, `${options.process} ${what}`, handle).finally(end).then(resolve, reject);
    });

  const askSimply = <T>(connection: string, what: string, value: () => T): Promise<T> =>
    ask<T>(connection, what, (answer) => answer({ value: value() }));

  const failOr = (error: Error | undefined): Outcome<object> =>
    error === undefined ? { value: {} } : { error };

  const commitOffsets = ({ memberId, groupGenerationId, topics }: Commits): Outcome<object> => {
    const fault = faults.commits.shift();
    const isApplied = fault === undefined || fault === "lost";
    const refusal = isApplied
      ? kafka.group.admitCommit({ memberId, generation: groupGenerationId })
      : brokerError(fault);
    if (refusal !== undefined) return { error: refusal };
    for (const { partition, offset, metadata = null } of topics.flatMap(({ partitions }) => partitions)) {
      kafka.commit({ process: options.process, memberId, partition, offset: Number(offset), metadata });
    }
    return failOr(fault === "lost" ? connectionLost() : undefined);
  };

  const createCoordinator = (instrumentation: InstrumentationEventEmitter) => {
    /** Tells kafkajs' listeners when an answered request was sent. */
    const telling = async <T>(apiName: string, asked: Promise<T>): Promise<T> => {
      const sentAt = Date.now();
      const tell = () => instrumentation.emit("network.request", { apiName, sentAt });
      try {
        const value = await asked;
        tell();
        return value;
      } catch (error) {
        tell();
        throw error;
      }
    };
    return {
      nodeId: "2",
      isConnected: () => true,
      joinGroup: (request: {
        memberId: string;
        sessionTimeout: number;
        rebalanceTimeout: number;
        groupProtocols: { name: string; metadata: Buffer }[];
      }) => {
        const { memberId, sessionTimeout, rebalanceTimeout, groupProtocols } = request;
        const { name: protocol = "", metadata = Buffer.alloc(0) } = groupProtocols[0] ?? {};
        const who = { process: options.process, memberId, sessionTimeout, rebalanceTimeout };
        return ask<JoinAnswer>(
          COORDINATOR,
          "joins",
          (answer) => kafka.group.join({ ...who, protocol, metadata }, answer),
          JOIN_TIMEOUT_MS,
        );
      },
      syncGroup: ({
        generationId: generation,
        memberId,
        groupAssignment,
      }: {
        generationId: number;
        memberId: string;
        groupAssignment: { memberId: string; memberAssignment: Buffer }[];
      }) =>
        telling(
          "SyncGroup",
          ask<{ memberAssignment: Buffer }>(COORDINATOR, "syncs", (answer) =>
            kafka.group.sync({ memberId, generation }, groupAssignment, (outcome) =>
              answer("error" in outcome ? outcome : { value: { memberAssignment: outcome.value } }),
            ),
          ),
        ),
      heartbeat: ({ memberId, groupGenerationId: generation }: Omit<Commits, "topics">) =>
        telling(
          "Heartbeat",
          ask<object>(COORDINATOR, "heartbeat", (answer) =>
            answer(failOr(kafka.group.heartbeat({ memberId, generation }))),
          ),
        ),
      leaveGroup: ({ memberId }: { memberId: string }) =>
        ask<object>(COORDINATOR, "leaves", (answer) => answer(failOr(kafka.group.leave(memberId)))),
      offsetCommit: (commits: Commits) =>
        ask<object>(COORDINATOR, "commits", (answer) => answer(commitOffsets(commits))),
      offsetFetch: ({ topics }: { topics: { topic: string; partitions: { partition: number }[] }[] }) =>
        askSimply(COORDINATOR, "reads offsets", () => ({
          responses: topics.map(({ topic, partitions }) => ({
            topic,
            partitions: partitions.map(({ partition }) => ({
              partition,
              offset: String(kafka.commits.get(partition)?.offset ?? -1),
            })),
          })),
        })),
    };
  };

  const leader = {
    nodeId: "1",
    fetch: ({
      maxWaitTime,
      topics,
    }: {
      maxWaitTime: number;
      topics: { topic: string; partitions: { partition: number; fetchOffset: string }[] }[];
    }) => {
      const asked = topics.flatMap(({ partitions }) => partitions);
      const places = asked.map(({ partition, fetchOffset }) => `${partition}@${fetchOffset}`);
      return ask<{ responses: object[] }>(LEADER, `fetches ${places}`, (answer) => {
        const fault = faults.fetches.shift();
        if (fault !== undefined) {
          answer({ error: brokerError(fault) });
          return;
        }
        const at = asked.map(({ partition, fetchOffset }) => ({ partition, offset: Number(fetchOffset) }));
        kafka.fetch(at, maxWaitTime, (outcome) =>
          answer(
            "error" in outcome
              ? outcome
              : { value: { responses: [{ topicName: EVENTS, partitions: outcome.value }] } },
          ),
        );
      });
    },
  };

  const partitions = kafka.logs.map((_, partitionId) => ({ partitionId, leader: 1, offlineReplicas: [] }));

  const createCluster = (instrumentation: InstrumentationEventEmitter) => {
    const coordinator = createCoordinator(instrumentation);
    const committed = {};
    return {
      isConnected: () => true,
      connect: async () => {},
      disconnect: async () => {},
      removeBroker: () => {},
      refreshMetadata: async () => {},
      refreshMetadataIfNecessary: async () => {},
      addMultipleTargetTopics: async () => {},
      getNodeIds: () => ["1"],
      findTopicPartitionMetadata: () => partitions,
      findGroupCoordinator: async () => coordinator,
      findBroker: async ({ nodeId }: { nodeId: string }) => (nodeId === "1" ? leader : coordinator),
      committedOffsets: () => committed,
      defaultOffset: () => -2,
      fetchTopicsOffset: (topics: { topic: string; partitions: { partition: number }[] }[]) =>
        askSimply(LEADER, "reads bounds", () =>
          topics.map(({ topic, partitions: asked }) => ({
            topic,
            partitions: asked.map(({ partition }) => ({
              partition,
              offset: String(kafka.logs[partition]?.start ?? 0),
            })),
          })),
        ),
    };
  };

  const admin: Pick<Admin, "fetchOffsets" | "fetchTopicOffsets"> = {
    fetchOffsets: () =>
      askSimply(ADMIN, "asks for commits", () => [
        {
          topic: EVENTS,
          partitions: kafka.logs.map((_, partition) => {
            const { offset = -1, metadata = null } = kafka.commits.get(partition) ?? {};
            return { partition, offset: String(offset), metadata };
          }),
        },
      ]),
    fetchTopicOffsets: () =>
      askSimply(LEADER_OF_ADMIN, "asks for bounds", () =>
        kafka.logs.map(({ start, end }, partition) => ({
          ...{ partition, offset: String(end) },
          ...{ low: String(start), high: String(end) },
        })),
      ),
  };

  const producer: RecordProducer = {
    connect: async () => {},
    disconnect: async () => {},
    send: (records) =>
      ask<void>(PRODUCER, "writes results", (answer) => {
        const fault = faults.results.shift();
        for (const { topic, messages } of fault === "refused" ? [] : records) {
          options.onResults(
            topic,
            messages.map(({ value }) => value as Buffer),
          );
        }
        answer(fault === undefined ? { value: undefined } : { error: connectionLost() });
      }),
  };

  const client = {
    consumer: (settings: Parameters<KafkaClient["consumer"]>[0]) => {
      const instrumentationEmitter = new InstrumentationEventEmitter();
      return createKafkajsConsumer({
        ...settings,
        groupId: GROUP_ID,
        ...{ logger, isolationLevel: READ_COMMITTED, instrumentationEmitter },
        cluster: createCluster(instrumentationEmitter),
      });
    },
  };

  // Of both clients only what a member of the group asks for is here.
  return { kafka: client as unknown as KafkaClient, admin: admin as Admin, producer };
}
