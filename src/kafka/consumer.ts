import { setTimeout as sleep } from "node:timers/promises";
import { type Batch, type Consumer, type Kafka, type KafkaMessage, PartitionAssigners } from "kafkajs";
import { messageOf } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";
import { kafkaErrorType } from "./errors.ts";
import { announceLeaving, mendJoining, mendOutOfRange } from "./quirks.ts";

/**
 * A consumer group's member, with kafkajs' traps kept inside:
 *
 * - Every way into a rejoin passes `onSuspended`, synchronously and before the JoinGroup request is sent. kafkajs has no
 *   revoke callback, and its REBALANCING event misses some ways; but each of them asks the assigner for its protocol.
 *   So does leaving the group, which kafkajs does when it crashes: before the LeaveGroup request is sent.
 * - `commit` sends one OffsetCommit with the generation of the moment it is called, without kafkajs' retry, which would
 *   send old offsets under a new generation. An old generation's commit is refused by the broker.
 * - Records are handed out without a hole: only what was fetched from the very offset that comes next. kafkajs may deliver
 *   a fetch of the time before a rejoin, and resets silently to the earliest offset when records have expired.
 */
export interface GroupConsumer {
  run(): Promise<void>;
  /** After a crash that kafkajs doesn't restart from: runs once more, trying until it does or `stop` is called. */
  runAgain(): void;
  /** Where to go on reading a partition of the current assignment. */
  start(partition: number, offset: number): void;
  pause(partition: number): void;
  resume(partition: number): void;
  /** Rejects with kafkajs' error as it is; see `isFencedError`. */
  commit(offsets: readonly CommitOffset[]): Promise<void>;
  /** False until the first records have come: kafkajs gives no such commit before. */
  readonly canCommit: boolean;
  /** Leaves the group. */
  stop(): Promise<void>;
}

export interface CommitOffset {
  partition: number;
  offset: number;
  metadata: string;
}

export interface GroupHandlers {
  /** The assignment is void from now on. Synchronous. */
  onSuspended(reason: string): void;
  /** A new assignment; all its partitions are paused until `start`. Synchronous. */
  onAssigned(partitions: readonly number[], epoch: number): void;
  /**
   * Takes records in order. Answers how many it took; fewer than all only if it has paused the partition, or if the
   * assignment is void.
   */
  onRecords(partition: number, messages: readonly KafkaMessage[], highWatermark: number): Promise<number>;
  /** There is nothing to read before this offset: control records and aborted ones. */
  onAdvanced(partition: number, position: number): void;
  /** The broker didn't serve the expected offset; the partition must be started anew. */
  onDiscontinuity(partition: number, expected: number, fetched: number): void;
  /** The group coordinator knew this member when it was asked, so many milliseconds ago. */
  onAlive(age: number): void;
  onCrashed(error: Error, restarts: boolean): void;
}

export interface GroupConsumerOptions {
  kafka: Kafka;
  topic: string;
  groupId: string;
  /** Milliseconds. */
  sessionTimeout: number;
  handlers: GroupHandlers;
  logger: Logger;
}

/** A paused consumer sleeps this long between two looks, so this is also how late it may see a `resume`; milliseconds. */
const MAX_WAIT_MS = 250;
/** Who is left hears by its heartbeat that a member has died, and with it whose partitions wait for an owner. */
const MAX_HEARTBEAT_INTERVAL_MS = 1_000;
/** Of a fetch, whose records are all decoded before the first is taken. kafkajs asks in a new order each time, so that none is left out. */
const MAX_BYTES = 1024 * 1024;
const MAX_BYTES_PER_PARTITION = 256 * 1024;
const RUN_AGAIN_MS = 1_000;

/** kafkajs knows the offset that a batch was asked for, but its types don't. */
type FetchedBatch = Batch & { fetchedOffset?: string };
type CommitFunction = (offsets: {
  topics: { topic: string; partitions: { partition: number; offset: string; metadata: string }[] }[];
}) => Promise<void>;

interface Cursor {
  position: number;
  /** End of a fetch that held only filtered records, seen once from `position`. */
  filteredUntil: number | undefined;
}

export function createGroupConsumer(options: GroupConsumerOptions): GroupConsumer {
  const { kafka, topic, groupId, sessionTimeout, handlers, logger } = options;
  /** Where reading goes on; only partitions that were started since the last join. */
  const cursors = new Map<number, Cursor>();
  let assigned: readonly number[] = [];
  let epoch = 0;
  let stopped = false;
  let commitFunction: CommitFunction | undefined;

  /** When the last answered request of a kind was sent, in milliseconds of the wall clock. */
  const askedAt = new Map<string, number>();
  /** An answer may have waited here while the process was stopped, so its question's time counts. */
  const ageOf = (apiName: string): number => Date.now() - (askedAt.get(apiName) ?? Date.now());

  const suspend = (reason: string): void => {
    cursors.clear();
    assigned = [];
    epoch++;
    handlers.onSuspended(reason);
  };

  announceLeaving();
  mendJoining();
  mendOutOfRange();
  const heartbeatInterval = Math.min(MAX_HEARTBEAT_INTERVAL_MS, Math.floor(sessionTimeout / 4));
  const consumer: Consumer = kafka.consumer({
    groupId,
    sessionTimeout,
    rebalanceTimeout: Math.max(sessionTimeout, 30_000),
    heartbeatInterval,
    maxWaitTimeInMs: MAX_WAIT_MS,
    maxBytes: MAX_BYTES,
    maxBytesPerPartition: MAX_BYTES_PER_PARTITION,
    readUncommitted: false,
    retry: { initialRetryTime: 200, maxRetryTime: 2_000, retries: 8, restartOnFailure: async () => !stopped },
    partitionAssigners: [
      (assignerOptions) => {
        const assigner = PartitionAssigners.roundRobin(assignerOptions);
        return {
          ...assigner,
          protocol(subscription) {
            suspend("joining the group");
            return assigner.protocol(subscription);
          },
        };
      },
    ],
  });

  /** Between a crash of kafkajs and its CRASH event these calls throw; the assignment is about to be void then. */
  const unlessCrashed = (call: () => void): void => {
    try {
      call();
    } catch (error) {
      logger.debug({ error: messageOf(error) }, "the Kafka consumer isn't running");
    }
  };
  const seek = (partition: number, offset: number): void =>
    unlessCrashed(() => consumer.seek({ topic, partition, offset: String(offset) }));
  const pause = (partitions: readonly number[]): void => {
    // Without partitions, kafkajs would pause the whole topic in another way, which a later call undoes.
    if (partitions.length > 0) unlessCrashed(() => consumer.pause([{ topic, partitions: [...partitions] }]));
  };
  const resume = (partition: number): void =>
    unlessCrashed(() => consumer.resume([{ topic, partitions: [partition] }]));

  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    handlers.onAlive(ageOf("SyncGroup"));
    assigned = payload.memberAssignment[topic] ?? [];
    pause(assigned);
    handlers.onAssigned(assigned, epoch);
  });
  consumer.on(consumer.events.HEARTBEAT, () => handlers.onAlive(ageOf("Heartbeat")));
  consumer.on(consumer.events.REQUEST, ({ payload }) => {
    if (payload.apiName === "Heartbeat" || payload.apiName === "SyncGroup") {
      askedAt.set(payload.apiName, payload.sentAt);
    }
  });
  consumer.on(consumer.events.REBALANCING, () => suspend("leaving the group"));
  // kafkajs stops before it tells of a crash.
  consumer.on(consumer.events.STOP, () => suspend("the Kafka client stopped"));
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    commitFunction = undefined;
    suspend("the Kafka client crashed");
    handlers.onCrashed(payload.error, payload.restart);
  });
  consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) => {
    if (payload.batchSize === 0) skipFiltered(payload.partition, Number(payload.lastOffset) + 1);
  });

  /**
   * kafkajs swallows a fetch that holds only control or aborted records, and doesn't say which offset it was asked for. It
   * may be one from before a rejoin; but such a one comes only once, so it is believed
   * when it is seen a second time.
   */
  function skipFiltered(partition: number, end: number): void {
    const cursor = cursors.get(partition);
    if (cursor === undefined) return;
    if (cursor.filteredUntil === undefined) {
      cursor.filteredUntil = end;
      seek(partition, cursor.position);
      return;
    }
    // One of the two is of this assignment, and what lies before both ends is before its end.
    const position = Math.max(cursor.position, Math.min(end, cursor.filteredUntil));
    cursor.filteredUntil = undefined;
    cursor.position = position;
    if (position !== end) seek(partition, position);
    handlers.onAdvanced(partition, position);
  }

  async function onBatch(batch: FetchedBatch, resolveOffset: (offset: string) => void): Promise<void> {
    const { partition } = batch;
    const cursor = cursors.get(partition);
    if (cursor === undefined) {
      // Else kafkajs would fetch it again and again, without a breath.
      pause([partition]);
      return;
    }
    const fetched = Number(batch.fetchedOffset);
    if (fetched !== cursor.position) {
      cursors.delete(partition);
      pause([partition]);
      handlers.onDiscontinuity(partition, cursor.position, fetched);
      return;
    }
    cursor.filteredUntil = undefined;
    const { messages } = batch;
    const taken = await handlers.onRecords(partition, messages, Number(batch.highWatermark));
    if (cursors.get(partition) !== cursor) return;
    const last = messages[taken - 1];
    if (last === undefined) return;
    const isWhole = taken === messages.length;
    resolveOffset(last.offset);
    // The end of a whole batch may be a control record behind the last message; kafkajs resolves that by itself.
    cursor.position = Number(isWhole ? batch.lastOffset() : last.offset) + 1;
    if (isWhole) handlers.onAdvanced(partition, cursor.position);
  }

  const run = async (): Promise<void> => {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    if (stopped) return;
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: 1,
      eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary, heartbeat }) => {
        commitFunction = commitOffsetsIfNecessary as CommitFunction;
        // kafkajs has none between here and the end of a batch, which may be large. A refused one is asked again by kafkajs.
        const beat = setInterval(() => heartbeat().catch(() => {}), heartbeatInterval);
        try {
          await onBatch(batch, resolveOffset);
        } catch (error) {
          // An error of certain types that escapes ends the consumer for good. Nothing was resolved: it is read again.
          logger.error({ partition: batch.partition, error: messageOf(error) }, "reading records failed");
        } finally {
          clearInterval(beat);
        }
      },
    });
  };

  const runAgain = async (): Promise<void> => {
    while (!stopped) {
      await sleep(RUN_AGAIN_MS);
      try {
        await run();
        return;
      } catch (error) {
        logger.debug({ error: messageOf(error) }, "the Kafka consumer doesn't start yet");
      }
    }
  };

  return {
    run,
    runAgain: () => void runAgain(),
    start(partition, offset) {
      cursors.set(partition, { position: offset, filteredUntil: undefined });
      seek(partition, offset);
      resume(partition);
    },
    pause(partition) {
      if (assigned.includes(partition)) pause([partition]);
    },
    resume(partition) {
      if (cursors.has(partition)) resume(partition);
    },
    get canCommit() {
      return commitFunction !== undefined;
    },
    async commit(offsets) {
      if (commitFunction === undefined) throw new Error("not a member of the group");
      const partitions = offsets.map(({ partition, offset, metadata }) => ({
        partition,
        offset: String(offset),
        metadata,
      }));
      await commitFunction({ topics: [{ topic, partitions }] });
    },
    stop() {
      stopped = true;
      return consumer.disconnect();
    },
  };
}

const FENCED = new Set([
  "ILLEGAL_GENERATION",
  "UNKNOWN_MEMBER_ID",
  "REBALANCE_IN_PROGRESS",
  "FENCED_INSTANCE_ID",
]);

/** The commit was refused because this member's generation is over. */
export const isFencedError = (error: unknown): boolean => FENCED.has(kafkaErrorType(error) ?? "");

/** The ledger is longer than the broker's `offset.metadata.max.bytes`. */
export const isMetadataTooLarge = (error: unknown): boolean =>
  kafkaErrorType(error) === "OFFSET_METADATA_TOO_LARGE";
