import { setTimeout as sleep } from "node:timers/promises";
import type { BatchScope } from "../batching/batch.ts";
import type { Config } from "../config/schema.ts";
import { createEnvironment, type Environment } from "../delivery/environment.ts";
import type { LaneState } from "../delivery/lane.ts";
import { messageOf, OptoutError } from "../errors.ts";
import { createDecoder } from "../events/decode.ts";
import { createSchemaCache, type SchemaCache } from "../events/schema-cache.ts";
import { createKafka } from "../kafka/client.ts";
import { createCommitter } from "../kafka/committer.ts";
import { createGroupConsumer, type GroupConsumer } from "../kafka/consumer.ts";
import { explainKafkaError } from "../kafka/errors.ts";
import { createRecordProducer } from "../kafka/producer.ts";
import { requireTopics } from "../kafka/topics.ts";
import type { Logger } from "../observability/logger.ts";
import { createMetrics, type Metrics } from "../observability/metrics.ts";
import type { Health } from "../observability/server.ts";
import { createRegistry } from "../registry/registry.ts";
import { createStatusEncoder } from "../results/status.ts";
import { type Assignment, createAssignment, type Restart } from "./assignment.ts";
import { createLease, type Lease } from "./lease.ts";
import { createPartition, type PartitionPort } from "./partition.ts";
import { createPublisher } from "./publisher.ts";
import { type BatchResults, batchResults } from "./result-messages.ts";
import type { SealedBatch } from "./sealed-batch.ts";
import { createSlot, type Slot } from "./slot.ts";
import { metricsSource } from "./source.ts";

export interface RelayState {
  phase: Assignment["phase"] | "starting" | "draining" | "stopped";
  partitions: {
    partition: number;
    committedOffset: number;
    position: number;
    sealedBatches: number;
    pendingEvents: number;
    ledgerUsedRatio: number;
    paused: boolean;
  }[];
  environments: ({ name: string } & LaneState)[];
}

export interface Relay {
  /** Resolves when the group's member runs. Rejects with an OptoutError for what can't heal by itself. */
  start(): Promise<void>;
  /** Resolves with the reason if the relay can't go on; the process should then exit, and be started again. */
  readonly failed: Promise<OptoutError>;
  /** Finishes what is in flight, within `DRAIN_MS`; commits; leaves the group. */
  stop(): Promise<void>;
  live(): Health;
  ready(): Health;
  state(): RelayState;
  readonly metrics: Metrics;
}

/** For requests in flight at shutdown, and the commit after them, in milliseconds. */
const DRAIN_MS = 10_000;
const DISCONNECT_MS = 5_000;
const MONITOR_MS = 5_000;
/** A client that the group hasn't heard of for this long will not recover; a fresh process may. */
const MAX_LAPSE_MS = 5 * 60_000;

export function createRelay(config: Config, options: { logger: Logger; version: string }): Relay {
  const { logger } = options;
  const { topics } = config;
  const names = config.environments.map(({ name }) => name);
  const metrics = createMetrics({ version: options.version, environments: names });
  const now = () => performance.now();
  const lease: Lease = createLease(config.kafka.sessionTimeout, now);
  let phase: "starting" | "running" | "draining" | "stopped" = "starting";
  let running: ReturnType<typeof assemble> | undefined;
  let fail: (error: OptoutError) => void = () => {};
  let failure: OptoutError | undefined;
  const failed = new Promise<OptoutError>((resolve) => {
    fail = (error) => {
      failure ??= error;
      resolve(error);
    };
  });

  const kafka = createKafka(config.kafka, logger);
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
  const environments = config.environments.map((environment) => createLaneOf(environment));

  function createLaneOf(environment: Config["environments"][number]): Environment {
    const labels = { environment: environment.name };
    return createEnvironment({
      config: environment,
      logger,
      maySend: () => lease.isHeld && phase === "running",
      events: {
        onAttempt(outcome, seconds) {
          metrics.deliveryAttempts.inc({ ...labels, outcome });
          metrics.deliverySeconds.observe(labels, seconds);
        },
        onRateWait: (seconds) => metrics.rateLimitWaitSeconds.observe(labels, seconds),
        onTokenRefresh: (outcome) => metrics.tokenRefreshes.inc({ ...labels, outcome }),
      },
    });
  }

  /** Everything that needs the cluster id, which goes into every key. */
  function assemble(clusterId: string) {
    const decode = createDecoder({ normalization: config.normalization, schemas });
    const publisher = createPublisher({
      producer,
      onFailure: () => metrics.statusPublishFailures.inc(),
      logger,
    });
    let publishing = 0;

    /** Without a status its batch can't be settled, so a failure here must not be passed over. */
    const resultsOf = (sealed: SealedBatch): BatchResults => {
      try {
        return batchResults(sealed, { topics, environments: names, encoder }, Date.now());
      } catch (error) {
        fail(new OptoutError("internal", `A status record can't be encoded: ${messageOf(error)}.`, { cause: error }));
        throw error;
      }
    };

    const portOf = (scope: BatchScope, signal: AbortSignal, slot: () => Slot): PartitionPort => ({
      requestCommit: (urgent) => committer.request(urgent),
      deliver: (environment, { batch }, done) => environments[environment]?.lane.deliver(scope, batch, done),
      async publish(sealed) {
        const results = resultsOf(sealed);
        publishing++;
        const published = await publisher.publish(results.messages, signal);
        publishing--;
        // The epoch is over; its next owner publishes.
        if (!published) await new Promise(() => {});
        for (const [outcome, count] of Object.entries(results.outcomes)) {
          metrics.eventsCompleted.inc({ outcome }, count);
        }
        for (const [reason, count] of results.rejections) metrics.eventsRejected.inc({ reason }, count);
        for (const askedAt of results.deliveredAskedAt) {
          metrics.endToEndSeconds.observe(Math.max(0, results.answeredAt - askedAt) / 1000);
        }
      },
      setPaused: (paused) => slot().setPaused("room", paused),
      onSealed({ batch }, trigger) {
        metrics.batchesSealed.inc({ trigger });
        metrics.batchEntries.observe(batch.entries.length);
      },
    });

    const makeSlot = (number: number, restart: Restart, signal: AbortSignal): Slot => {
      const scope = { clusterId, topic: topics.events, partition: number };
      const slot: Slot = createSlot({
        partition: createPartition({
          scope,
          environments: names,
          limits: config.batching,
          ...restart,
          port: portOf(scope, signal, () => slot),
          now,
        }),
        decode,
        loadSchema: (id) => (schemas === null ? Promise.resolve() : schemas.load(id)),
        pause: () => consumer.pause(number),
        resume: () => !signal.aborted && consumer.resume(number),
      });
      return slot;
    };

    const assignment = createAssignment({
      topic: topics.events,
      groupId: config.kafka.groupId,
      environments: names,
      admin,
      consumer: () => consumer,
      lease,
      commitsIdle: () => committer.idle(),
      createSlot: makeSlot,
      onSuspended: () => {
        for (const { lane } of environments) lane.reset();
      },
      onActive: (share) => {
        for (const { lane } of environments) lane.setShare(share);
      },
      onRecordsTaken: (partition, count) => metrics.eventsConsumed.inc({ partition: String(partition) }, count),
      onOffsetsLost: (count) => metrics.offsetsLost.inc(count),
      onLedgerDiscarded: () => metrics.ledgersDiscarded.inc(),
      onFatal: (message) => fail(new OptoutError("internal", message)),
      logger,
    });

    const committer = createCommitter({
      collect: () =>
        [...assignment.slots.values()]
          .map(({ partition }) => partition.snapshot())
          .filter((snapshot) => snapshot !== undefined),
      commit: (offsets) => consumer.commit(offsets),
      onOutcome: (outcome) => metrics.offsetCommits.inc({ outcome }),
      onFenced: () => assignment.suspend("this member's generation is over"),
      onFatal: () =>
        fail(
          new OptoutError(
            "ledger_capacity",
            "The broker refuses the ledger in the offset commit as too large. Set offset.metadata.max.bytes of the brokers to 4096 (its default) or more.",
          ),
        ),
      logger,
    });

    const consumer: GroupConsumer = createGroupConsumer({
      kafka,
      topic: topics.events,
      groupId: config.kafka.groupId,
      sessionTimeout: config.kafka.sessionTimeout,
      logger,
      handlers: {
        ...assignment.handlers(),
        onAlive: () => {
          const lapsed = !lease.isHeld;
          lease.renew();
          if (lapsed && lease.isHeld) for (const { lane } of environments) lane.wake();
        },
        onCrashed: (error, restarts) => {
          const explained = explainKafkaError(error, {
            brokers: config.kafka.brokers,
            topic: topics.events,
            groupId: config.kafka.groupId,
          });
          if (restarts) logger.warn({ error: explained.message }, "the Kafka consumer starts again");
          else fail(explained);
        },
      },
    });

    return { assignment, committer, consumer, isPublishing: () => publishing > 0 };
  }

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
    const { slots } = running.assignment;
    if (slots.size === 0) return;
    for (const { partition, high } of await admin.fetchTopicOffsets(topics.events)) {
      const slot = slots.get(partition);
      if (slot !== undefined) slot.highWatermark = Math.max(slot.highWatermark ?? 0, Number(high));
    }
  };
  let monitorTimer: NodeJS.Timeout | undefined;

  metrics.watch(metricsSource(() => running?.assignment.slots ?? new Map(), environments));

  const connect = async (): Promise<string> => {
    try {
      await admin.connect();
      await requireTopics(admin, config);
      const { clusterId } = await admin.describeCluster();
      await producer.connect();
      return clusterId;
    } catch (error) {
      throw explainKafkaError(error, { brokers: config.kafka.brokers });
    }
  };

  /** Without the registry no status can be published, so nothing is read before it has answered. */
  const prepareEncoder = async (): Promise<void> => {
    for (let attempt = 1; phase === "starting"; attempt++) {
      try {
        await encoder.prepare();
        return;
      } catch (error) {
        if (attempt === 1 || attempt % 20 === 0) {
          logger.warn({ error: messageOf(error) }, "the schema registry doesn't answer; the relay waits for it");
        }
        await sleep(1_000);
      }
    }
  };

  const drain = async (parts: NonNullable<typeof running>): Promise<void> => {
    const deadline = now() + DRAIN_MS;
    for (const { partition } of parts.assignment.slots.values()) {
      parts.consumer.pause(partition.number);
      partition.stopSealing();
    }
    const lanes = Promise.all(environments.map(({ lane }) => lane.drain()));
    await within(lanes, deadline - now());
    while (parts.isPublishing() && now() < deadline) await sleep(20);
    await within(parts.committer.flush(), Math.max(1_000, deadline - now()));
  };

  return {
    failed,
    metrics,
    async start() {
      const clusterId = await connect();
      await prepareEncoder();
      if (phase !== "starting") return;
      running = assemble(clusterId);
      phase = "running";
      await running.consumer.run();
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
        if (failure === undefined) await drain(running);
        await within(running.consumer.stop(), DISCONNECT_MS);
        running.assignment.suspend("stopping");
        running.committer.close();
      }
      schemas?.close();
      await within(
        Promise.all([producer.disconnect(), admin.disconnect(), ...environments.map((each) => each.close())]),
        DISCONNECT_MS,
      );
      phase = "stopped";
    },
    live: () => (failure === undefined ? { ok: true } : { ok: false, reason: failure.message }),
    ready() {
      if (phase !== "running") return { ok: false, reason: phase };
      if (running?.assignment.phase !== "active") {
        return { ok: false, reason: "no assignment from the consumer group yet" };
      }
      return lease.isHeld
        ? { ok: true }
        : { ok: false, reason: "the group coordinator hasn't answered for most of a session timeout" };
    },
    state: () => ({
      phase: phase === "running" ? (running?.assignment.phase ?? "starting") : phase,
      partitions: [...(running?.assignment.slots.values() ?? [])].map(({ partition, paused }) => ({
        partition: partition.number,
        committedOffset: partition.base,
        position: partition.position,
        sealedBatches: partition.sealed.length,
        pendingEvents: partition.pendingEvents,
        ledgerUsedRatio: partition.ledgerUsedRatio,
        paused,
      })),
      environments: environments.map(({ lane }) => ({ name: lane.name, ...lane.state() })),
    }),
  };
}

/** Waits no longer than `milliseconds`, and for no error. */
async function within(work: Promise<unknown>, milliseconds: number): Promise<void> {
  const controller = new AbortController();
  await Promise.race([
    work.catch(() => {}),
    sleep(Math.max(0, milliseconds), undefined, { signal: controller.signal }).catch(() => {}),
  ]);
  controller.abort();
}
