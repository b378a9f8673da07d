import { setTimeout as sleep } from "node:timers/promises";
import { rereadable } from "../config/reread.ts";
import type { AnyConfig } from "../config/schema.ts";
import type { AnyEnvironment, DialectDefinition } from "../delivery/dialects/dialect.ts";
import { createEnvironment, type Environment } from "../delivery/environment.ts";
import { messageOf, OptoutError } from "../errors.ts";
import { createSchemaCache, type SchemaCache } from "../events/schema-cache.ts";
import { closeKafka, createKafka } from "../kafka/client.ts";
import { explained } from "../kafka/errors.ts";
import { createRecordProducer } from "../kafka/producer.ts";
import { requireTopics } from "../kafka/topics.ts";
import type { Logger } from "../observability/logger.ts";
import { createMetrics, type Metrics } from "../observability/metrics.ts";
import { createPhoneMask } from "../observability/phone-mask.ts";
import type { Health } from "../observability/server.ts";
import { createRegistry } from "../registry/registry.ts";
import { createStatusEncoder } from "../results/status.ts";
import { type Activity, createActivity } from "./activity.ts";
import { createBrake } from "./brake.ts";
import { DRAIN_MS, drain, within } from "./drain.ts";
import { createLease, type Lease } from "./lease.ts";
import { createMember, type Member } from "./member.ts";
import { createPublisher } from "./publisher.ts";
import { createRecent } from "./recent.ts";
import { createResultPublisher } from "./result-publisher.ts";
import { metricsSource } from "./source.ts";
import { type RelayState, relayState } from "./state.ts";

export interface Relay {
  /** Resolves when the group's member runs. Rejects with an OptoutError for what can't heal by itself. */
  start(): Promise<void>;
  /** Resolves with the reason if the relay can't go on; the process should then exit, and be started again. */
  readonly failed: Promise<OptoutError>;
  /** Finishes what is in flight, within `DRAIN_MS`; commits; leaves the group. */
  stop(): Promise<void>;
  /** Names, as configured. */
  readonly environments: readonly string[];
  /**
   * Pauses or resumes sending to an environment, whatever it was before; false if there is none of that name. A pause
   * holds for this process only, and ends with it: after a restart opt-outs flow.
   */
  setPaused(environment: string, paused: boolean): boolean;
  live(): Health;
  ready(): Health;
  state(): RelayState;
  readonly metrics: Metrics;
}

const DISCONNECT_MS = 5_000;
/** `stop` takes no longer; whoever would kill the process must wait for so long at least. */
export const STOP_WITHIN_MS = DRAIN_MS + 1_000 + 2 * DISCONNECT_MS;
const MONITOR_MS = 5_000;
/** A client that the group hasn't heard of for this long will not recover; a fresh process may. */
const MAX_LAPSE_MS = 5 * 60_000;

export interface RelayOptions {
  logger: Logger;
  version: string;
  /** What the configuration's environments may speak; by default the dialects there are. */
  dialects?: readonly DialectDefinition[];
}

export function createRelay(config: AnyConfig, options: RelayOptions): Relay {
  const { logger } = options;
  const { topics } = config;
  const names = config.environments.map(({ name }) => name);
  const startedAt = Date.now();
  const metrics = createMetrics({ version: options.version, environments: names });
  const now = () => performance.now();
  const lease: Lease = createLease(config.kafka.sessionTimeout, now);
  let phase: "starting" | "running" | "draining" | "stopped" = "starting";
  let running: Member | undefined;
  let fail: (error: OptoutError) => void = () => {};
  let failure: OptoutError | undefined;
  const failed = new Promise<OptoutError>((resolve) => {
    fail = (error) => {
      failure ??= error;
      resolve(error);
    };
  });

  const kafka = createKafka(config.kafka, logger, rereadable(config, ["kafka", "sasl"], logger));
  const admin = kafka.admin();
  const producer = createRecordProducer(kafka);
  const registry = config.schemaRegistry === undefined ? null : createRegistry(config.schemaRegistry);
  const schemas: SchemaCache | null =
    config.schemaRegistry === undefined
      ? null
      : createSchemaCache({
          registry: config.schemaRegistry,
          requestTimeoutMs: config.schemaRegistry.requestTimeout,
          logger,
        });
  const encoder = createStatusEncoder({ registry, topic: topics.status });
  const activities = config.environments.map((): Activity => createActivity(now));
  const environments = config.environments.map(createLaneOf);

  function createLaneOf(environment: AnyEnvironment, index: number): Environment {
    const labels = { environment: environment.name };
    return createEnvironment({
      config: environment,
      auth: rereadable(config, ["environments", index, "auth"], logger),
      dialects: options.dialects,
      logger,
      maySend: () => lease.isHeld && phase === "running",
      events: {
        onAttempt(outcome, seconds, exemplar) {
          metrics.deliveryAttempts.inc({ ...labels, outcome });
          metrics.deliverySeconds.observe(labels, seconds, exemplar);
          activities[index]?.ended(outcome);
        },
        onDefect(error) {
          const { name } = environment;
          const what = `An answer of the environment ${name} couldn't be dealt with: ${messageOf(error)}.`;
          fail(new OptoutError("internal", `${what} The process ends so that it can be started afresh.`));
        },
        onRateWait(seconds) {
          metrics.rateLimitWaitSeconds.observe(labels, seconds);
          activities[index]?.started();
        },
        onTokenRefresh: (outcome) => metrics.tokenRefreshes.inc({ ...labels, outcome }),
      },
    });
  }

  const publisher = createPublisher({
    producer,
    brokers: config.kafka.brokers,
    onFailure: () => metrics.statusPublishFailures.inc(),
    logger,
  });
  const recent = createRecent();
  const brake = createBrake(now);
  const results = createResultPublisher({
    ...{ publisher, brake },
    context: { topics, environments: names, encoder },
    metrics,
    maskPhone: createPhoneMask(config.logging.phoneHashSecret),
    logger,
    onFatal: fail,
    onPublished: recent.onSettled,
  });

  /** Lag and lost leases are seen here, whatever else is quiet. */
  const monitor = async (): Promise<void> => {
    if (running === undefined) return;
    if (lease.lapsedFor() > MAX_LAPSE_MS) {
      fail(
        new OptoutError(
          "kafka_unreachable",
          `The consumer group hasn't known this member for ${MAX_LAPSE_MS / 60_000} minutes. Check the brokers; the process ends so that it can be started afresh.`,
        ),
      );
    }
    const { assignment } = running;
    if (assignment.slots.size === 0) return;
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topics.events)) {
      assignment.observe(partition, Number(low), Number(high));
    }
  };
  let monitorTimer: NodeJS.Timeout | undefined;

  metrics.watch(metricsSource(() => running?.assignment.slots ?? new Map(), environments));

  const connect = async (): Promise<string> => {
    await admin.connect();
    await requireTopics(admin, config);
    const { clusterId } = await admin.describeCluster();
    await producer.connect();
    return clusterId;
  };

  /** Without the registry no status can be published, so nothing is read before it has answered. */
  const prepareEncoder = async (): Promise<void> => {
    for (let attempt = 1; phase === "starting"; attempt++) {
      try {
        await encoder.prepare();
        return;
      } catch (error) {
        if (!(error instanceof OptoutError) || error.code !== "registry_unreachable") throw error;
        if (attempt === 1 || attempt % 20 === 0) {
          logger.warn({ error: error.message }, "the schema registry doesn't answer; the relay waits for it");
        }
        await sleep(1_000);
      }
    }
  };

  const live = (): Health => (failure === undefined ? { ok: true } : { ok: false, reason: failure.message });

  const ready = (): Health => {
    if (phase !== "running") return { ok: false, reason: phase };
    if (running?.assignment.phase !== "active") {
      return { ok: false, reason: "no assignment from the consumer group yet" };
    }
    return lease.isHeld
      ? { ok: true }
      : { ok: false, reason: "the group coordinator hasn't answered for most of a session timeout" };
  };

  return {
    failed,
    metrics,
    async start() {
      // Brokers may go away at any moment of the start.
      const { brokers, groupId } = config.kafka;
      const asked = { brokers, groupId, topic: topics.events };
      const clusterId = await explained(connect(), asked);
      await prepareEncoder();
      if (phase !== "starting") return;
      const lanes = environments.map(({ lane }) => lane);
      running = createMember({
        ...{ config, kafka, admin, clusterId, lanes, schemas, results, brake, lease, metrics, logger },
        onFatal: fail,
      });
      phase = "running";
      await explained(running.consumer.run(), asked);
      monitorTimer = setInterval(() => {
        monitor().catch((error) => logger.debug({ error: messageOf(error) }, "watermarks not read"));
      }, MONITOR_MS);
      logger.info(
        { topic: topics.events, groupId: config.kafka.groupId, environments: names },
        "relay started",
      );
    },
    async stop() {
      if (phase === "draining" || phase === "stopped") return;
      phase = "draining";
      clearInterval(monitorTimer);
      if (running !== undefined) {
        running.assignment.close();
        const lanes = environments.map(({ lane }) => lane);
        if (failure === undefined) await drain({ member: running, lanes, results, now });
        await within(running.consumer.stop(), DISCONNECT_MS);
        running.assignment.suspend("stopping");
        running.committer.close();
      }
      schemas?.close();
      await within(
        Promise.all([producer.disconnect(), admin.disconnect(), ...environments.map((each) => each.close())]),
        DISCONNECT_MS,
      );
      closeKafka(kafka);
      phase = "stopped";
    },
    environments: names,
    setPaused(environment, paused) {
      const lane = environments.find((each) => each.lane.name === environment)?.lane;
      if (paused) lane?.pause();
      else lane?.resume();
      return lane !== undefined;
    },
    live,
    ready,
    state: () =>
      relayState({
        ...{ version: options.version, topic: topics.events, groupId: config.kafka.groupId },
        ...{ now: Date.now(), startedAt, live: live(), ready: ready(), environments, activities },
        phase: phase === "running" ? (running?.assignment.phase ?? "starting") : phase,
        slots: running?.assignment.slots ?? new Map(),
        ...recent.view(),
      }),
  };
}
