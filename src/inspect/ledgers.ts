import type { Admin } from "kafkajs";
import { decodeLedger, type LedgerBatch, ledgerUsedRatio } from "../batching/ledger.ts";
import type { Config } from "../config/schema.ts";

/** What the consumer group has committed for a partition of the events topic, and where that is in it. */
export interface PartitionLedger {
  partition: number;
  /** Null: nothing was committed yet. */
  committedOffset: number | null;
  /** Of the first record that is still there. */
  firstOffset: number;
  /** Of the record that comes next. */
  endOffset: number;
  /** Sealed and not behind the committed offset yet. */
  batches: readonly LedgerBatch[];
  /** Why the metadata is no ledger; null if it is one. */
  problem: string | null;
  /** The share of the ledger's room that is taken, 0 to 1. */
  usedRatio: number;
  /** `environmentHash` of those in the ledger that the configuration hasn't. */
  unknownEnvironments: readonly string[];
}

/** Only reads, so it may be used while relays run. Rejects with kafkajs' errors. */
export async function readLedgers(
  admin: Admin,
  { kafka, topics, environments }: Pick<Config, "kafka" | "topics" | "environments">,
): Promise<PartitionLedger[]> {
  const [committed] = await admin.fetchOffsets({ groupId: kafka.groupId, topics: [topics.events] });
  const commits = new Map(committed?.partitions.map((commit) => [commit.partition, commit]));
  // After the commits, so that an end is never before its committed offset.
  const bounds = await admin.fetchTopicOffsets(topics.events);
  const names = environments.map(({ name }) => name);
  return bounds
    .map(({ partition, low, high }) => {
      const { offset = "-1", metadata = null } = commits.get(partition) ?? {};
      const ledger = ledgerOf(Number(offset), metadata, names);
      return { partition, firstOffset: Number(low), endOffset: Number(high), ...ledger };
    })
    .sort((a, b) => a.partition - b.partition);
}

type LedgerOf = Omit<PartitionLedger, "partition" | "firstOffset" | "endOffset">;

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
