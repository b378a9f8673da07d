import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Admin, Kafka, Message } from "kafkajs";
import { decodeLedger, type LedgerBatch } from "../../src/batching/ledger.ts";
import { parseConfig } from "../../src/config/load.ts";
import type { Config, ConfigInput } from "../../src/config/schema.ts";
import { createRecordProducer, type RecordProducer } from "../../src/kafka/producer.ts";
import { highWatermarks } from "../../src/kafka/topic-reader.ts";
import { ensureTopics } from "../../src/kafka/topics.ts";
import type { StatusRecord } from "../../src/results/status.ts";
import { createSimulator, type Simulator } from "../../src/simulator/index.ts";
import { readTopic, type TopicRecord, testKafka } from "./kafka.ts";
import { type CliProcess, runCli } from "./process.ts";
import { sharedStack } from "./stack.ts";
import { waitFor } from "./wait.ts";

export interface ScenarioOptions {
  /** The end of the names of its topics and group. Default: a random one. */
  name?: string;
  partitions?: number;
  /** Names of simulated environments. Default: three. */
  environments?: string[];
  /** Of each environment; the default is far above what a test sends. */
  requestsPerSecond?: number;
  batching?: ConfigInput["batching"];
  sessionTimeout?: string;
  registry?: boolean;
  /** Other brokers than the shared ones. */
  brokers?: string[];
}

export interface RelayProcess extends CliProcess {
  /** Base URL of its metrics and health. */
  readonly url: string;
  metric(name: string, labels?: string): Promise<number | undefined>;
}

export interface Committed {
  offset: number;
  metadata: string;
  ledger: LedgerBatch[];
}

/** Topics, a consumer group and a simulator of its own, on the shared brokers. */
export interface Scenario {
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly producer: RecordProducer;
  readonly simulator: Simulator;
  readonly environments: string[];
  readonly config: Config;
  produce(messages: Message[]): Promise<void>;
  /** Starts a relay process; resolves when it is ready, unless told not to wait. */
  startRelay(options?: {
    change?: (config: ConfigInput) => void;
    wait?: boolean;
    env?: Record<string, string>;
  }): Promise<RelayProcess>;
  committed(): Promise<Map<number, Committed>>;
  /** Waits until every record is behind the committed offset. */
  allSettled(timeout?: number): Promise<void>;
  /** Every record of the status topic; JSON only. */
  statuses(): Promise<StatusRecord[]>;
  deadLetters(): Promise<TopicRecord[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The test's phone number of that index: valid, distinct, in E.164. Up to 7,990,000 of them. */
export const phoneOf = (index: number): string =>
  `+1${[212, 213, 312, 404, 415, 617, 702, 713][index % 8]}${2_000_000 + Math.floor(index / 8)}`;

export const optOut = (index: number, more: Record<string, unknown> = {}): Message => ({
  key: phoneOf(index),
  value: JSON.stringify({ phone: phoneOf(index), source: "web", eventId: `event-${index}`, ...more }),
});

/** The opt-outs, and their phones, of the indices `from` (inclusive) to `to` (exclusive). */
export const optOuts = (from: number, to: number): Message[] =>
  Array.from({ length: to - from }, (_, index) => optOut(from + index));
export const phones = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => phoneOf(from + index));

export async function createScenario(options: ScenarioOptions = {}): Promise<Scenario> {
  const brokers = options.brokers ?? (await sharedStack()).brokers;
  const registryUrl = options.registry ? (await sharedStack()).registryUrl : undefined;
  const id = options.name ?? randomUUID().slice(0, 8);
  const environments = options.environments ?? ["production", "us-west", "eu-central"];
  const requestsPerSecond = options.requestsPerSecond ?? 2_000;
  const simulator = await createSimulator({
    environments: environments.map((name) => ({ name, requestsPerSecond: requestsPerSecond * 10 })),
  });
  const input = (): ConfigInput => ({
    kafka: { brokers, groupId: `relay-${id}`, sessionTimeout: options.sessionTimeout ?? "6s" },
    topics: { events: `events-${id}`, status: `status-${id}`, deadLetter: `dead-letter-${id}` },
    ...(registryUrl && { schemaRegistry: { url: registryUrl } }),
    batching: { maxEntries: 50, maxWait: "200ms", ...options.batching },
    environments: environments.map((name) => ({
      name,
      baseUrl: simulator.baseUrl(name),
      auth: { clientId: "relay", clientSecret: "relay-secret" },
      requestsPerSecond,
      requestTimeout: "5s",
      retry: { initialBackoff: "50ms", maxBackoff: "500ms" },
    })),
    server: { port: 0 },
  });
  const config = parseConfig(input());
  const kafka = testKafka(brokers);
  const admin = kafka.admin();
  await admin.connect();
  await ensureTopics(kafka, config, { partitions: options.partitions ?? 2, replicationFactor: 1 });
  const producer = createRecordProducer(kafka);
  await producer.connect();
  const folder = await mkdtemp(join(tmpdir(), "optout-scenario-"));
  const relays: CliProcess[] = [];

  const committed = async (): Promise<Map<number, Committed>> => {
    const [topic] = await admin.fetchOffsets({
      groupId: config.kafka.groupId,
      topics: [config.topics.events],
    });
    return new Map(
      (topic?.partitions ?? []).map(({ partition, offset, metadata }) => {
        const decoded = decodeLedger(Number(offset), metadata, environments);
        const ledger = decoded.ok ? decoded.batches : [];
        return [partition, { offset: Number(offset), metadata: metadata ?? "", ledger }];
      }),
    );
  };

  return {
    kafka,
    admin,
    producer,
    simulator,
    environments,
    config,
    produce: (messages) => producer.send([{ topic: config.topics.events, messages }]),
    async startRelay({ change, wait = true, env = {} } = {}) {
      const wanted = input();
      change?.(wanted);
      const file = join(folder, `${randomUUID()}.json`);
      await writeFile(file, JSON.stringify(wanted));
      const cli = runCli(["relay", "--config", file], { env });
      relays.push(cli);
      const url = await waitFor("the relay to serve its metrics", () => {
        if (!cli.running) throw new Error(`the relay ended: ${cli.stdout()}${cli.stderr()}`);
        return cli.logs().find((line) => typeof line.url === "string")?.url as string | undefined;
      });
      const relay = Object.assign(cli, {
        url,
        async metric(name: string, labels = ""): Promise<number | undefined> {
          const text = await (await fetch(`${url}/metrics`)).text();
          const line = text.split("\n").find((each) => each.startsWith(`${name}${labels} `));
          return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ") + 1));
        },
      });
      if (wait) await waitFor("the relay to be ready", async () => (await fetch(`${url}/readyz`)).ok);
      return relay;
    },
    committed,
    async allSettled(timeout) {
      // Not the end that a reader of committed records sees: a transaction's own may lag behind its commit.
      const ends = await highWatermarks({ kafka, brokers, topic: config.topics.events });
      await waitFor(
        "every record to be behind the committed offset",
        async () => {
          const offsets = await committed();
          // More than that if a transaction's marker has come since.
          return [...ends].every(
            ([partition, end]) => end === 0 || (offsets.get(partition)?.offset ?? 0) >= end,
          );
        },
        timeout,
      );
    },
    statuses: async () =>
      (await readTopic(kafka, admin, config.topics.status)).map(({ value }) => JSON.parse(String(value))),
    deadLetters: () => readTopic(kafka, admin, config.topics.deadLetter),
    async [Symbol.asyncDispose]() {
      for (const relay of relays) await relay[Symbol.asyncDispose]();
      await producer.disconnect();
      await admin.disconnect();
      await simulator.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
