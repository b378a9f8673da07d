import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { parseConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { OptoutError } from "../errors.ts";
import { createSchemaCache } from "../events/schema-cache.ts";
import { createGateway } from "../gateway/gateway.ts";
import { closeKafka, createKafka } from "../kafka/client.ts";
import { explained } from "../kafka/errors.ts";
import { createRecordProducer } from "../kafka/producer.ts";
import { followTopic } from "../kafka/topic-follower.ts";
import { ensureTopics } from "../kafka/topics.ts";
import { startLocalStack } from "../local-stack/local-stack.ts";
import { type Logger, silentLogger } from "../observability/logger.ts";
import { startObservabilityServer } from "../observability/server.ts";
import { createRegistry } from "../registry/registry.ts";
import { type RegisteredSubject, registerSchemas } from "../registry/subjects.ts";
import { createRelay, type Relay } from "../relay/relay.ts";
import { createSimulator, type Simulator } from "../simulator/index.ts";
import { VERSION } from "../version.ts";
import { deleteTopics, reachBrokers } from "./brokers.ts";
import { type Cleanup, createCleanup } from "./cleanup.ts";
import { configurationOf, writeConfiguration } from "./configuration.ts";
import { feed } from "./feed.ts";
import { createOutcomes, type Outcomes } from "./outcomes.ts";
import type { Progress } from "./progress.ts";
import { environmentsTable, judge, outcomesTable } from "./report.ts";
import { createSamples } from "./samples.ts";

export interface QuickstartOptions {
  /** How many sample opt-outs. */
  events: number;
  /** Brokers to use instead of starting one; topics of their own are made there, and deleted at the end. */
  brokers?: string[] | undefined;
  /** With `brokers`: a schema registry to use. */
  registry?: string | undefined;
  progress: Progress;
  logger: Logger;
  signal: AbortSignal;
}

export interface QuickstartResult {
  ok: boolean;
  gatewayUrl: string;
  relayUrl: string;
  simulatorUrl: string;
  /** For the other commands; it is removed at the end. */
  configFile: string;
}

const ENVIRONMENTS = ["production", "us-west", "eu-central"] as const;
/** Without progress for this long the quickstart gives up, in milliseconds. */
const PATIENCE_MS = 60_000;
const POLL_MS = 100;

interface Backing {
  brokers: string[];
  registryUrl: string | undefined;
}

/** The configuration, and a file that has it. */
async function configure(
  backing: Backing,
  simulator: Simulator,
  prefix: string,
  cleanup: Cleanup,
): Promise<{ config: Config; configFile: string }> {
  const environments = ENVIRONMENTS.map((name) => ({ name, baseUrl: simulator.baseUrl(name) }));
  const configuration = configurationOf({ ...backing, environments, prefix });
  const config = parseConfig(configuration);
  const file = await writeConfiguration(configuration);
  cleanup.add(() => file.remove());
  return { config, configFile: file.path };
}

/**
 * Starts everything on this machine, feeds samples, holds the lists against them and reports. `whenDone` gets the result
 * while all still runs; when it resolves, all is stopped.
 */
export async function quickstart(
  options: QuickstartOptions,
  whenDone: (result: QuickstartResult) => Promise<void>,
): Promise<void> {
  const cleanup = createCleanup();
  try {
    await whenDone(await run(options, cleanup));
  } finally {
    await cleanup.run();
  }
}

async function run(options: QuickstartOptions, cleanup: Cleanup): Promise<QuickstartResult> {
  const { progress, logger, signal } = options;
  const backing = await startBacking(options, cleanup);
  const simulator = await progress.step(
    `a local CXone with ${ENVIRONMENTS.length} environments`,
    async (detail) => {
      const started = await createSimulator({ environments: ENVIRONMENTS });
      cleanup.add(() => started.close());
      detail(started.url);
      return started;
    },
  );
  addFaults(simulator);
  const prefix = options.brokers === undefined ? "" : `quickstart-${randomUUID().slice(0, 8)}-`;
  const { config, configFile } = await configure(backing, simulator, prefix, cleanup);
  const kafka = createKafka(config.kafka, logger);
  cleanup.add(async () => closeKafka(kafka));
  const subjects = await progress.step("topics and schemas", async (detail) => {
    await reachBrokers(kafka, config, signal);
    const topics = await ensureTopics(kafka, config);
    if (options.brokers !== undefined) cleanup.add(() => deleteTopics(kafka, config));
    detail(topics.map(({ topic }) => topic).join(", "));
    return registerSchemas(config);
  });
  signal.throwIfAborted();
  const intake = await startIntake(config, kafka, progress, logger, cleanup);
  const { relay, url: relayUrl } = await startRelay(config, progress, logger, cleanup);
  signal.throwIfAborted();
  const outcomes = await watchOutcomes(config, kafka, cleanup);

  const samples = createSamples(options.events, new Date().toISOString());
  const broken = samples.filter(({ expected }) => expected === null).length;
  progress.line();
  progress.line(
    `  ${samples.length} sample opt-outs: from web forms over HTTP, from IVR as JSON${config.schemaRegistry ? " and Avro" : ""}; ${broken} of them broken.`,
  );
  progress.line(
    "  us-west answers some requests with an error; eu-central cuts some connections after it applied a batch.",
  );
  progress.line();
  const startedAt = performance.now();
  let sent = 0;
  const fed = explained(
    feed({
      samples,
      ...intake,
      topic: config.topics.events,
      toAvro: await avroOf(config, subjects),
      onSent: (count) => {
        sent = count;
      },
      signal,
    }),
    config.kafka,
  );
  await Promise.all([
    fed,
    settled({ relay, outcomes, total: samples.length, signal }, (count) =>
      progress.count(`${sent} sent, ${count} settled`),
    ),
  ]);
  const seconds = (performance.now() - startedAt) / 1000;
  const ok = report(options, simulator, outcomes, samples, seconds);
  return { ok, gatewayUrl: intake.gatewayUrl, relayUrl, simulatorUrl: simulator.url, configFile };
}

async function startBacking(
  { brokers, registry, progress, signal }: QuickstartOptions,
  cleanup: Cleanup,
): Promise<Backing> {
  if (brokers !== undefined) return { brokers, registryUrl: registry };
  return progress.step("Apache Kafka and a schema registry", async (detail) => {
    const stack = await startLocalStack({ onProgress: detail, signal });
    cleanup.add(() => stack.stop());
    detail(stack.brokers.join(", "));
    return { brokers: stack.brokers, registryUrl: stack.registryUrl };
  });
}

/** A quickstart without trouble would show nothing that matters. */
function addFaults(simulator: Simulator): void {
  simulator.setFaults("production", { latencyMs: 20, jitterMs: 20 });
  simulator.setFaults("us-west", { latencyMs: 40, jitterMs: 40, errorRate: 0.15 });
  simulator.setFaults("eu-central", { latencyMs: 60, jitterMs: 60, dropAfterApply: 0.15 });
}

type KafkaClient = ReturnType<typeof createKafka>;

async function startIntake(
  config: Config,
  kafka: KafkaClient,
  progress: Progress,
  logger: Logger,
  cleanup: Cleanup,
) {
  return progress.step("gateway", async (detail) => {
    const producer = createRecordProducer(kafka);
    await explained(producer.connect(), config.kafka);
    cleanup.add(() => producer.disconnect());
    const gateway = await createGateway({ config, producer, logger, checkKafka: async () => {} });
    cleanup.add(() => gateway.close());
    detail(`POST ${gateway.url}/opt-out`);
    return { gatewayUrl: gateway.url, producer };
  });
}

async function startRelay(config: Config, progress: Progress, logger: Logger, cleanup: Cleanup) {
  return progress.step("relay", async (detail) => {
    const relay = createRelay(config, { logger, version: VERSION });
    const server = await startObservabilityServer(relay, config.server);
    cleanup.add(() => server.close());
    cleanup.add(() => relay.stop());
    await relay.start();
    detail(`${server.url}/metrics`);
    return { relay, url: server.url };
  });
}

async function watchOutcomes(config: Config, kafka: KafkaClient, cleanup: Cleanup): Promise<Outcomes> {
  const { schemaRegistry } = config;
  const schemas =
    schemaRegistry === undefined
      ? null
      : createSchemaCache({
          registry: schemaRegistry,
          requestTimeoutMs: schemaRegistry.requestTimeout,
          logger: silentLogger(),
        });
  const outcomes = createOutcomes(schemas);
  const follower = await explained(
    followTopic(kafka, config.topics.status, (message) => outcomes.read(message)),
    config.kafka,
  );
  cleanup.add(async () => {
    schemas?.close();
    await follower.stop();
  });
  return outcomes;
}

async function avroOf(
  { schemaRegistry, topics }: Config,
  subjects: readonly RegisteredSubject[] | null,
): Promise<((event: object) => Buffer) | undefined> {
  const subject = subjects?.find((each) => each.subject === `${topics.events}-value`);
  return subject && schemaRegistry && createRegistry(schemaRegistry).serializer(subject.id);
}

interface Settling {
  relay: Relay;
  outcomes: Outcomes;
  total: number;
  signal: AbortSignal;
}

/** Resolves when every sample has its outcome on the status topic. */
async function settled(
  { relay, outcomes, total, signal }: Settling,
  onCount: (count: number) => void,
): Promise<void> {
  let failure: OptoutError | undefined;
  void relay.failed.then((error) => {
    failure = error;
  });
  let last = { count: 0, at: performance.now() };
  for (;;) {
    signal.throwIfAborted();
    if (failure !== undefined) throw failure;
    const count = outcomes.byStatusId.size;
    onCount(count);
    if (count >= total) return;
    if (count > last.count) last = { count, at: performance.now() };
    if (performance.now() - last.at > PATIENCE_MS) {
      throw new OptoutError(
        "internal",
        `Only ${count} of ${total} samples have an outcome, and none came for ${PATIENCE_MS / 1000} s. Run it with --verbose to see why.`,
      );
    }
    await sleep(POLL_MS);
  }
}

function report(
  { progress }: QuickstartOptions,
  simulator: Simulator,
  outcomes: Outcomes,
  samples: ReturnType<typeof createSamples>,
  seconds: number,
): boolean {
  const verdict = judge(samples, simulator, ENVIRONMENTS);
  progress.line(`  All ${samples.length} settled in ${seconds.toFixed(1)} s.`);
  progress.line();
  progress.line(environmentsTable(simulator, ENVIRONMENTS, outcomes));
  progress.line("p50 and p99: from an event's arrival in Kafka to the environment's acknowledgement.");
  progress.line();
  progress.line(outcomesTable(outcomes));
  if (verdict.ok) {
    progress.line(
      `✓ Each of ${verdict.distinctPhones} numbers is on the list of all ${ENVIRONMENTS.length} environments; no key was used for two bodies.`,
    );
  }
  for (const { environment, count } of verdict.missing) {
    progress.line(`✗ ${count} numbers aren't on the list of ${environment}.`);
  }
  for (const { environment, count } of verdict.unexpected) {
    progress.line(`✗ ${count} numbers on the list of ${environment} were never asked for.`);
  }
  if (verdict.reusedKeys > 0) progress.line(`✗ ${verdict.reusedKeys} keys were used for two bodies.`);
  return verdict.ok;
}
