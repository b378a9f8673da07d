import type { Admin, Kafka } from "kafkajs";
import type { AnyConfig } from "../config/schema.ts";
import type { Lane } from "../delivery/lane.ts";
import { OptoutError } from "../errors.ts";
import { createDecoder } from "../events/decode.ts";
import type { SchemaCache } from "../events/schema-cache.ts";
import { type CommitSnapshot, type Committer, createCommitter } from "../kafka/committer.ts";
import { createGroupConsumer, type GroupConsumer } from "../kafka/consumer.ts";
import { explainKafkaError } from "../kafka/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { type Assignment, type AssignmentOptions, createAssignment } from "./assignment.ts";
import { abandonSpan, type BatchSpan, startBatchSpan } from "./batch-span.ts";
import type { Brake } from "./brake.ts";
import type { Lease } from "./lease.ts";
import { createPartition, type PartitionOptions } from "./partition.ts";
import type { ResultPublisher } from "./result-publisher.ts";
import { pendingBytesOfEach } from "./room.ts";
import type { SealedBatch } from "./sealed-batch.ts";
import { createSlot, type Slot } from "./slot.ts";

/** The relay as a member of the consumer group: records in, batches to the lanes, results out, commits. */
export interface Member {
  readonly assignment: Assignment;
  readonly committer: Committer;
  readonly consumer: GroupConsumer;
}

export interface MemberOptions {
  config: AnyConfig;
  kafka: Kafka;
  admin: Admin;
  /** Goes into every idempotency key. */
  clusterId: string;
  /** In the configuration's order. */
  lanes: readonly Lane[];
  schemas: SchemaCache | null;
  results: ResultPublisher;
  brake: Brake;
  lease: Lease;
  /** Those that aren't configured; by default a ledger has what a broker's `offset.metadata.max.bytes` allows by default. */
  limits?: Pick<PartitionOptions["limits"], "maxLedgerChars">;
  metrics: Metrics;
  logger: Logger;
  /** The process can't go on. */
  onFatal(error: OptoutError): void;
}

/** Far below what a broker takes as one request, 100 MiB, and as one record of its offsets topic's batch, 1 MiB. */
const MAX_COMMIT_CHARS = 256 * 1024;
export function createMember(options: MemberOptions): Member {
  const { config, lanes, schemas, results, brake, lease, metrics, logger, onFatal } = options;
  const { topics, kafka: kafkaConfig } = config;
  const environments = lanes.map(({ name }) => name);
  const decode = createDecoder({ normalization: config.normalization, schemas });

  const makeSlot: AssignmentOptions["createSlot"] = (number, restart, { signal, owned }) => {
    const scope = { clusterId: options.clusterId, topic: topics.events, partition: number };
    const spans = new Map<SealedBatch, BatchSpan>();
    const unrecorded = new Set<SealedBatch>();
    const recorded = (sealed: SealedBatch): void => {
      if (unrecorded.delete(sealed)) brake.add(-sealed.batch.events.length);
    };
    signal.addEventListener(
      "abort",
      () => {
        spans.forEach(abandonSpan);
        unrecorded.forEach(recorded);
      },
      { once: true },
    );
    const partition = createPartition({
      scope,
      environments,
      limits: {
        ...config.batching,
        maxPendingBytes: pendingBytesOfEach(owned),
        ...options.limits,
      },
      ...restart,
      port: {
        requestCommit: (urgent) => committer.request(urgent),
        deliver(environment, sealed, handlers) {
          const { batch, splits } = sealed;
          const split = splits[environment] ?? "pending";
          lanes[environment]?.deliver({ scope, batch, trace: spans.get(sealed), split, ...handlers });
        },
        async publish(sealed) {
          const trace = spans.get(sealed);
          await results.publish(sealed, signal, trace);
          trace?.span.end();
          spans.delete(sealed);
        },
        setPaused: (paused) => slot.setPaused("room", paused),
        onRecorded: recorded,
        onSealed(sealed, trigger) {
          const { events, entries } = sealed.batch;
          metrics.batchesSealed.inc({ trigger });
          metrics.batchEntries.observe(entries.length);
          if (!sealed.recorded) {
            unrecorded.add(sealed);
            brake.add(events.length);
          }
          if (sealed.settled) return;
          const span = startBatchSpan(sealed, { scope, groupId: kafkaConfig.groupId, trigger });
          spans.set(sealed, span);
          if (!logger.isLevelEnabled("debug")) return;
          logger.debug(
            { ...span.ids, trigger, events: events.length, entries: entries.length },
            "batch sealed",
          );
        },
      },
      now: () => performance.now(),
    });
    const slot: Slot = createSlot({
      partition,
      decode,
      loadSchema: async (id) => schemas?.load(id, signal),
      pause: () => consumer.pause(number),
      resume: () => !signal.aborted && consumer.resume(number),
      brake,
    });
    return slot;
  };

  const assignment = createAssignment({
    topic: topics.events,
    groupId: kafkaConfig.groupId,
    environments,
    admin: options.admin,
    consumer: () => consumer,
    lease,
    commitsIdle: () => committer.idle(),
    createSlot: makeSlot,
    onSuspended: () => {
      for (const lane of lanes) lane.reset();
    },
    onActive: (share) => {
      for (const lane of lanes) lane.setShare(share);
    },
    onRecordsTaken: (partition, count) => metrics.eventsConsumed.inc({ partition: String(partition) }, count),
    onOffsetsLost: (count) => metrics.offsetsLost.inc(count),
    onLedgerDiscarded: () => metrics.ledgersDiscarded.inc(),
    onFatal: (message) => onFatal(new OptoutError("internal", message)),
    logger,
  });

  /** Dirty partitions, as many as one request may hold. */
  const collect = (): ReturnType<Parameters<typeof createCommitter>[0]["collect"]> => {
    const snapshots: CommitSnapshot[] = [];
    if (!consumer.canCommit) return { snapshots, isPartial: false };
    let characters = 0;
    for (const { partition } of assignment.slots.values()) {
      if (characters > MAX_COMMIT_CHARS) return { snapshots, isPartial: true };
      const snapshot = partition.snapshot();
      if (snapshot === undefined) continue;
      snapshots.push(snapshot);
      characters += snapshot.metadata.length;
    }
    return { snapshots, isPartial: false };
  };

  const committer = createCommitter({
    collect,
    epoch: () => assignment.epoch,
    commit: (offsets) => consumer.commit(offsets),
    onOutcome: (outcome) => metrics.offsetCommits.inc({ outcome }),
    onFenced: () => {
      // kafkajs finds out at its next heartbeat, and would fetch until then what nobody takes.
      for (const partition of assignment.slots.keys()) consumer.pause(partition);
      assignment.suspend("this member's generation is over");
    },
    onFatal,
    logger,
  });

  const onAlive = (age: number): void => {
    const lapsed = !lease.isHeld;
    lease.renew(age);
    if (lapsed && lease.isHeld) for (const lane of lanes) lane.wake();
  };

  const onCrashed = (error: Error, restarts: boolean): void => {
    const { brokers, groupId } = kafkaConfig;
    const explained = explainKafkaError(error, { brokers, topic: topics.events, groupId });
    // kafkajs takes some errors for final that a broker in the middle of a restart causes: no coordinator, for one.
    if (!restarts && (explained.code !== "kafka_unreachable" || isDefect(error))) {
      onFatal(explained);
      return;
    }
    logger.warn({ error: explained.message }, "the Kafka consumer starts again");
    if (!restarts) consumer.runAgain();
  };

  const consumer: GroupConsumer = createGroupConsumer({
    kafka: options.kafka,
    topic: topics.events,
    groupId: kafkaConfig.groupId,
    sessionTimeout: kafkaConfig.sessionTimeout,
    logger,
    handlers: { ...assignment.handlers(), onAlive, onCrashed },
  });

  return { assignment, committer, consumer };
}

/** What no broker causes: the client choked on something, and would again. */
function isDefect(error: Error): boolean {
  for (let link: unknown = error; link instanceof Error; link = link.cause) {
    if (["TypeError", "RangeError", "ReferenceError", "SyntaxError"].includes(link.name)) return true;
  }
  return false;
}
