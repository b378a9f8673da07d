import type { Admin, Kafka } from "kafkajs";
import { decodeLedger, type LedgerBatch, ledgerUsedRatio } from "../batching/ledger.ts";
import type { Config } from "../config/schema.ts";
import { readCommitted } from "../kafka/committed.ts";
import { highWatermarks } from "../kafka/topic-reader.ts";

/** What the consumer group has committed for a partition of the events topic, and where that is in it. */
export interface PartitionLedger {
  partition: number;
  /** Null: nothing was committed yet. */
  committedOffset: number | null;
  /** Of the first record that is still there. */
  firstOffset: number;
  /** Of the record that comes next. */
  endOffset: number;
  /** Records before that end which nobody can read yet: an open transaction holds them, or they lie behind its first. */
  behindTransaction: number;
  /** Sealed and not behind the committed offset yet. */
  batches: readonly LedgerBatch[];
  /** Why the metadata is no ledger; null if it is one. */
  problem: string | null;
  /** The share of the ledger's room that is taken, 0 to 1. */
  usedRatio: number;
  /** `environmentHash` of those in the ledger that the configuration hasn't. */
  unknownEnvironments: readonly string[];
}

/** Only reads, so it may be used while relays run. Rejects with kafkajs' errors, or explained ones. */
export async function readLedgers(
  { admin, kafka }: { admin: Admin; kafka: Kafka },
  { kafka: { groupId, brokers }, topics, environments }: Pick<Config, "kafka" | "topics" | "environments">,
): Promise<PartitionLedger[]> {
  const highs = await highWatermarks({ kafka, brokers, topic: topics.events });
  const commits = await readCommitted(admin, { groupId, topic: topics.events });
  // After the commits, so that an end is never before its committed offset.
  const bounds = await readableBounds(admin, topics.events, highs);
  const names = environments.map(({ name }) => name);
  return bounds
    .map(({ partition, ...bounds }) => {
      const { offset = -1, metadata = null } = commits.get(partition) ?? {};
      return { partition, ...bounds, ...ledgerOf(offset, metadata, names) };
    })
    .sort((a, b) => a.partition - b.partition);
}

type Bounds = Pick<PartitionLedger, "partition" | "firstOffset" | "endOffset" | "behindTransaction">;

/** @param highs high watermarks that were read before: what has come since is not behind a transaction for that */
export async function readableBounds(
  admin: Admin,
  topic: string,
  highs: ReadonlyMap<number, number>,
): Promise<Bounds[]> {
  return (await admin.fetchTopicOffsets(topic)).map(({ partition, low, high }) => {
    const readable = Number(high);
    const endOffset = Math.max(readable, highs.get(partition) ?? 0);
    return { partition, firstOffset: Number(low), endOffset, behindTransaction: endOffset - readable };
  });
}

type LedgerOf = Omit<PartitionLedger, keyof Bounds>;

/** @param offset -1: none */
export function ledgerOf(offset: number, metadata: string | null, environments: readonly string[]): LedgerOf {
  const unknown = new Set<string>();
  const decoded = decodeLedger(offset, metadata, environments, (hash) => unknown.add(hash));
  const batches = decoded.ok ? decoded.batches : [];
  return {
    committedOffset: offset < 0 ? null : offset,
    batches,
    problem: decoded.ok ? null : decoded.problem,
    usedRatio: ledgerUsedRatio(offset, batches, environments.length),
    unknownEnvironments: [...unknown].sort(),
  };
}
