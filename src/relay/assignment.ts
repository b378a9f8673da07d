import { setTimeout as sleep } from "node:timers/promises";
import type { Admin } from "kafkajs";
import { decodeLedger, type LedgerBatch, restOf } from "../batching/ledger.ts";
import { backoff } from "../delivery/retry.ts";
import { messageOf } from "../errors.ts";
import { type Commit, readCommitted } from "../kafka/committed.ts";
import type { GroupConsumer, GroupHandlers } from "../kafka/consumer.ts";
import type { Logger } from "../observability/logger.ts";
import type { Lease } from "./lease.ts";
import type { Slot } from "./slot.ts";

/** What a partition starts from: the committed offset and its ledger. */
export interface Restart {
  base: number;
  ledger: readonly LedgerBatch[];
}

/**
 * The partitions this process owns, epoch by epoch.
 *
 *   suspended ── GROUP_JOIN ──► rebuilding ── offsets and ledgers read ──► active
 *       ▲                            │                                        │
 *       └──── any rejoin, crash of the client or refused commit ◄─────────────┘
 *
 * Every partition state is dropped on suspension and rebuilt from the committed ledger.
 */
export interface Assignment {
  readonly slots: ReadonlyMap<number, Slot>;
  readonly phase: "suspended" | "rebuilding" | "active";
  /** A new object with every epoch. */
  readonly epoch: object;
  handlers(): Pick<
    GroupHandlers,
    "onSuspended" | "onAssigned" | "onRecords" | "onAdvanced" | "onDiscontinuity"
  >;
  /** This member's generation is over, though the client doesn't know yet. */
  suspend(reason: string): void;
  /**
   * Takes note of a partition's bounds, every now and then. Records that expired unread are noticed here if nothing comes
   * after them, or while reading is paused; else by the gap before the next record.
   */
  observe(partition: number, low: number, high: number): void;
  /** Takes no further assignment. */
  close(): void;
}

export interface AssignmentOptions {
  topic: string;
  groupId: string;
  environments: readonly string[];
  admin: Admin;
  consumer(): GroupConsumer;
  lease: Lease;
  /** Resolves when no commit of this process is in flight. */
  commitsIdle(): Promise<void>;
  /** `epoch.signal` is aborted when the epoch is over; `epoch.owned` is how many partitions this process owns in it. */
  createSlot(partition: number, restart: Restart, epoch: { signal: AbortSignal; owned: number }): Slot;
  /** The states are void: forget all work for them. */
  onSuspended(): void;
  /** `share`: of all partitions, 0 to 1. */
  onActive(share: number): void;
  onRecordsTaken(partition: number, count: number): void;
  onOffsetsLost(count: number): void;
  onLedgerDiscarded(): void;
  onFatal(message: string): void;
  logger: Logger;
}

interface Watermarks {
  low: number;
  high: number;
}

const RETRY = { initialBackoff: 200, maxBackoff: 5_000 };

export function createAssignment(options: AssignmentOptions): Assignment {
  const { topic, admin, logger, lease } = options;
  const slots = new Map<number, Slot>();
  let phase: Assignment["phase"] = "suspended";
  let epoch = new AbortController();
  let closed = false;
  /** Where reading was at the last look at the bounds. */
  const positions = new WeakMap<Slot, number>();
  const startingAnew = new WeakSet<Slot>();

  const suspend = (reason: string): void => {
    epoch.abort();
    epoch = new AbortController();
    lease.revoke();
    if (slots.size > 0) logger.info({ reason, partitions: [...slots.keys()] }, "partitions given up");
    for (const { partition } of slots.values()) partition.dispose();
    slots.clear();
    phase = "suspended";
    options.onSuspended();
  };

  const readWatermarks = async (): Promise<Map<number, Watermarks>> =>
    new Map(
      (await admin.fetchTopicOffsets(topic)).map(({ partition, low, high }) => [
        partition,
        { low: Number(low), high: Number(high) },
      ]),
    );

  /** Retries while the epoch lasts; undefined once it is over. */
  const persistently = async <T>(
    what: string,
    signal: AbortSignal,
    read: () => Promise<T>,
  ): Promise<T | undefined> => {
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        const value = await read();
        return signal.aborted ? undefined : value;
      } catch (error) {
        if (signal.aborted) return undefined;
        logger.warn({ error: messageOf(error), attempt }, `${what} failed; it is retried`);
        await sleep(backoff(attempt, RETRY, Math.random), undefined, { signal }).catch(() => {});
      }
    }
    return undefined;
  };

  const rebuild = async (partitions: readonly number[], signal: AbortSignal): Promise<void> => {
    const read = await persistently("reading committed offsets", signal, async () => {
      // A commit of the epoch before may still be on its way, and would be missed.
      await options.commitsIdle();
      const [committed, watermarks] = await Promise.all([
        readCommitted(admin, { groupId: options.groupId, topic }),
        readWatermarks(),
      ]);
      // An answer that lacks a partition says nothing of it; to start at its beginning would be a guess.
      const absent = partitions.find((each) => !committed.has(each) || !watermarks.has(each));
      if (absent !== undefined) throw new Error(`the brokers don't know partition ${absent} yet`);
      return [committed, watermarks] as const;
    });
    if (read === undefined) return;
    const [committed, watermarks] = read;
    for (const partition of partitions) {
      const bounds = watermarks.get(partition) ?? { low: 0, high: 0 };
      const restart = restartOf(partition, committed.get(partition), bounds);
      const slot = options.createSlot(partition, restart, { signal, owned: partitions.length });
      slots.set(partition, slot);
      // The alarm of lost offsets is for once, not for every restart.
      if (restart.base !== committed.get(partition)?.offset) slot.partition.recommit();
    }
    phase = "active";
    lease.grant();
    options.onActive(watermarks.size === 0 ? 0 : partitions.length / watermarks.size);
    for (const [partition, slot] of slots) {
      slot.highWatermark = watermarks.get(partition)?.high;
      options.consumer().start(partition, slot.partition.position);
    }
    logger.info(
      { partitions },
      partitions.length === 0 ? "in the group, without partitions" : "partitions taken over",
    );
  };

  const restartOf = (
    partition: number,
    committed: Commit | undefined,
    { low, high }: Watermarks,
  ): Restart => {
    // A group without a committed offset starts at the beginning: an opt-out is never too old to be honoured.
    if (committed === undefined || committed.offset < 0) return { base: low, ledger: [] };
    const { offset: base, metadata } = committed;
    if (base > high) {
      logger.error(
        { partition, committedOffset: base, endOffset: high },
        "the committed offset is behind the end of the topic, which must have been created anew; reading starts at its beginning",
      );
      return { base: low, ledger: [] };
    }
    const decoded = decodeLedger(base, metadata, options.environments);
    if (!decoded.ok) {
      options.onLedgerDiscarded();
      logger.error(
        { partition, problem: decoded.problem },
        "the offset commit's metadata is no ledger and is ignored; batches sent before may be sent again under other keys",
      );
    }
    const ledger = decoded.ok ? decoded.batches : [];
    if (base >= low) return { base, ledger };
    lost(partition, base, low);
    // What is left of a range is cut so again by whoever reads this ledger. Were it read otherwise than before, nobody would
    // have been sent it.
    const left = ledger.filter(({ last }) => last >= low);
    return { base: low, ledger: left.map((entry) => (entry.first >= low ? entry : restOf(entry, low))) };
  };

  const lost = (partition: number, from: number, to: number): void => {
    options.onOffsetsLost(to - from);
    logger.error(
      { partition, firstOffset: from, lastOffset: to - 1 },
      "records expired in Kafka before they were settled: these opt-outs are lost; raise retention.ms of the events topic and find out why the relay was behind",
    );
  };

  const startAnew = async (partition: number, expected: number, signal: AbortSignal): Promise<void> => {
    const slot = slots.get(partition);
    if (slot === undefined) return;
    startingAnew.add(slot);
    const watermarks = await persistently("reading the partition's bounds", signal, readWatermarks);
    startingAnew.delete(slot);
    const bounds = watermarks?.get(partition);
    if (bounds === undefined) return;
    if (expected > bounds.high) {
      options.onFatal(
        `Partition ${partition} of "${topic}" ends at ${bounds.high}, before offset ${expected} that was read already: the topic was created anew or truncated. Start the relay again: it reads the topic from its beginning.`,
      );
      return;
    }
    resumeAt(partition, slot, expected, Math.max(expected, bounds.low));
  };

  /** Reads on at `position`; what lies between it and `expected` is lost. */
  const resumeAt = (partition: number, slot: Slot, expected: number, position: number): void => {
    if (position > expected) {
      lost(partition, expected, position);
      slot.partition.advance(position);
    }
    options.consumer().start(partition, position);
    if (slot.paused) options.consumer().pause(partition);
  };

  return {
    slots,
    get phase() {
      return phase;
    },
    get epoch() {
      return epoch;
    },
    suspend,
    observe(partition, low, high) {
      const slot = slots.get(partition);
      if (slot === undefined) return;
      slot.highWatermark = Math.max(slot.highWatermark ?? 0, high);
      const { position } = slot.partition;
      const isIdle = positions.get(slot) === position && !startingAnew.has(slot);
      positions.set(slot, position);
      if (low > position && isIdle) resumeAt(partition, slot, position, low);
    },
    close() {
      closed = true;
    },
    handlers: () => ({
      onSuspended: suspend,
      onAssigned(partitions) {
        if (closed) return;
        phase = "rebuilding";
        void rebuild(partitions, epoch.signal);
      },
      async onRecords(partition, messages, highWatermark) {
        const slot = slots.get(partition);
        if (slot === undefined) return 0;
        slot.highWatermark = highWatermark;
        const taken = await slot.read(messages, () => slots.get(partition) === slot);
        options.onRecordsTaken(partition, taken);
        return taken;
      },
      onAdvanced(partition, position) {
        slots.get(partition)?.partition.advance(position);
      },
      onDiscontinuity(partition, expected, fetched) {
        logger.debug(
          { partition, expected, fetched },
          "records from another offset than the next; starting anew",
        );
        void startAnew(partition, expected, epoch.signal);
      },
    }),
  };
}
