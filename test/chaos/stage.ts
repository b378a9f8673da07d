import { SchemaRegistry, SchemaType } from "@kafkajs/confluent-schema-registry";
import type { Admin, Kafka } from "kafkajs";
import { closeKafka } from "../../src/kafka/client.ts";
import { createRecordProducer, type RecordProducer } from "../../src/kafka/producer.ts";
import type { LocalStack } from "../../src/local-stack/local-stack.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { EVENT_AVRO, STATUS_AVRO } from "../../src/registry/subjects.ts";
import { createSimulator, type Simulator } from "../../src/simulator/index.ts";
import { createTopics, testKafka } from "../support/kafka.ts";
import { createRegistryProxy, type RegistryProxy } from "../support/registry-proxy.ts";
import { startTestStack } from "../support/stack.ts";
import { createRandom, seedOf } from "./random.ts";
import type { Schedule } from "./schedule.ts";
import { SIMULATOR_HOST } from "./senders.ts";

/** A broker and a registry, for one schedule at a time: schedules restart them. */
export interface House {
  readonly stack: LocalStack;
  readonly proxy: RegistryProxy;
  /** Of the events' schema, the same after every restart of the registry. */
  readonly eventSchema: number;
  restartRegistry(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function openHouse(): Promise<House> {
  const stack = await startTestStack({
    // Transactions that were left behind are to be aborted while their schedule goes on.
    brokerConfig: { "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500" },
  });
  const url = stack.registryUrl;
  if (url === undefined) throw new Error("the stack has no registry");
  const proxy = await createRegistryProxy(url);
  // The registry numbers schemas by their content in the order in which they come, and forgets all in a restart.
  const register = async (): Promise<number> => {
    const registry = new SchemaRegistry({ host: url });
    const add = async (subject: string, file: string): Promise<number> =>
      (await registry.register({ type: SchemaType.AVRO, schema: readPackageFile(file) }, { subject })).id;
    const id = await add("chaos-events-value", EVENT_AVRO);
    await add("chaos-status-value", STATUS_AVRO);
    return id;
  };
  const eventSchema = await register();
  return {
    stack,
    proxy,
    eventSchema,
    async restartRegistry() {
      await proxy.become("down");
      await stack.stopRegistry();
      await stack.startRegistry();
      const id = await register();
      if (id !== eventSchema)
        throw new Error(`the schema ${eventSchema} is ${id} after the registry's restart`);
      await proxy.become("answers");
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await stack.stop();
    },
  };
}

/** What one schedule has for itself: topics, a group and a simulator. */
export interface Stage {
  readonly house: House;
  readonly schedule: Schedule;
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly producer: RecordProducer;
  readonly simulator: Simulator;
  readonly topics: { events: string; status: string; deadLetter: string };
  readonly groupId: string;
  readonly clusterId: string;
  /** Milliseconds since the epoch. */
  readonly openedAt: number;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function openStage(house: House, schedule: Schedule): Promise<Stage> {
  const openedAt = Date.now();
  const id = `${schedule.seed}-${openedAt.toString(36)}`;
  const topics = { events: `events-${id}`, status: `status-${id}`, deadLetter: `dead-letter-${id}` };
  const random = createRandom(seedOf(schedule.seed, -1));
  const quota = schedule.requestsPerSecond * schedule.quotaRoom;
  const simulator = await createSimulator({
    environments: schedule.environments.map((name) => ({ name, requestsPerSecond: quota })),
    host: SIMULATOR_HOST,
    random: random.next,
  });
  const kafka = testKafka(house.stack.brokers);
  const admin = kafka.admin();
  await admin.connect();
  // The broker's own time of each record is what the checks go by.
  const configEntries = [{ name: "message.timestamp.type", value: "LogAppendTime" }];
  await createTopics(
    admin,
    Object.values(topics).map((topic) => ({
      topic,
      numPartitions: topic === topics.events ? schedule.partitions : 1,
      replicationFactor: 1,
      configEntries,
    })),
  );
  const { clusterId } = await admin.describeCluster();
  const producer = createRecordProducer(kafka);
  await producer.connect();
  return {
    ...{ house, schedule, kafka, admin, producer, simulator, topics, clusterId, openedAt },
    groupId: `relay-${id}`,
    async [Symbol.asyncDispose]() {
      await producer.disconnect();
      await admin.disconnect();
      closeKafka(kafka);
      await simulator.close();
    },
  };
}
