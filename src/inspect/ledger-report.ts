import type { LedgerBatch } from "../batching/ledger.ts";
import type { Config } from "../config/schema.ts";
import { grouped } from "../grouped.ts";
import { table } from "../table.ts";
import type { PartitionLedger } from "./ledgers.ts";
import { transactionRemark } from "./transactions.ts";

/** What `optout-relay ledger --json` prints. */
export interface LedgerReport {
  groupId: string;
  topic: string;
  /** Names, as configured. */
  environments: readonly string[];
  partitions: readonly PartitionReport[];
}

export interface PartitionReport extends Omit<PartitionLedger, "batches"> {
  /** Records behind the committed offset; of all that are there, if nothing was committed. */
  lag: number;
  /** Records that expired before they were settled. */
  lost: number;
  batches: readonly BatchReport[];
}

export interface BatchReport {
  /** Offsets, both inclusive. */
  first: number;
  last: number;
  settled: boolean;
  /** Names of the environments that took it whole. */
  acknowledged: readonly string[];
  /** Names of those that have it in pieces, since they didn't take it whole. */
  split: readonly string[];
  /** Names of those that it waits for. */
  pending: readonly string[];
}

/** Pure. */
export function ledgerReport(
  { kafka, topics, environments }: Pick<Config, "kafka" | "topics" | "environments">,
  ledgers: readonly PartitionLedger[],
): LedgerReport {
  const names = environments.map(({ name }) => name);
  return {
    groupId: kafka.groupId,
    topic: topics.events,
    environments: names,
    partitions: ledgers.map((ledger) => {
      const { committedOffset, firstOffset, endOffset, batches } = ledger;
      return {
        ...ledger,
        lag: Math.max(0, endOffset - Math.max(committedOffset ?? firstOffset, firstOffset)),
        lost: Math.max(0, firstOffset - (committedOffset ?? firstOffset)),
        batches: batches.map((batch) => batchReport(batch, names)),
      };
    }),
  };
}

function batchReport(
  { first, last, settled, acknowledged, splits }: LedgerBatch,
  names: readonly string[],
): BatchReport {
  const isPending = (index: number): boolean => !settled && acknowledged[index] !== true;
  return {
    first,
    last,
    settled,
    acknowledged: names.filter((_, index) => acknowledged[index] === true),
    split: names.filter((_, index) => isPending(index) && splits?.[index] !== undefined),
    pending: names.filter((_, index) => isPending(index)),
  };
}

/** For people: a table of the partitions, a table of what is pending, and what is wrong. */
export function describeLedger(report: LedgerReport): string {
  const rows = report.partitions.map((partition) => [
    String(partition.partition),
    partition.committedOffset === null ? "none" : grouped(partition.committedOffset),
    grouped(partition.endOffset),
    grouped(partition.lag),
    grouped(partition.batches.filter(({ settled }) => !settled).length),
    grouped(partition.batches.filter(({ settled }) => settled).length),
    `${Math.round(partition.usedRatio * 100)} %`,
  ]);
  const head = ["partition", "committed", "end", "lag", "pending batches", "settled", "ledger used"];
  const parts = [
    `Consumer group ${report.groupId}, topic ${report.topic}\n`,
    table(head, rows, head),
    ...batchTable(report),
    ...report.partitions.flatMap((partition) => remarks(partition, report).map((line) => `${line}\n`)),
  ];
  return parts.join("\n");
}

/** Of one partition, in the table; a ledger may hold a thousand. */
const MAX_ROWS = 20;

function batchTable({ partitions }: LedgerReport): string[] {
  const rows = partitions.flatMap(({ partition, batches }) => {
    const more = batches.length - MAX_ROWS;
    return [
      ...batches.slice(0, MAX_ROWS).map((batch) => batchRow(partition, batch)),
      ...(more > 0 ? [[String(partition), `and ${more} more`, "", "--json has all"]] : []),
    ];
  });
  const head = ["partition", "batch", "acknowledged by", "waits for"];
  return rows.length === 0 ? ["No batch is pending.\n"] : [table(head, rows, ["partition"])];
}

function batchRow(partition: number, { first, last, settled, ...batch }: BatchReport): string[] {
  const pending = batch.pending.map((name) => (batch.split.includes(name) ? `${name} (in pieces)` : name));
  const waits = settled
    ? "those before it; it is settled"
    : pending.join(", ") || "its statuses to be published";
  return [String(partition), `${first}-${last}`, batch.acknowledged.join(", ") || "none", waits];
}

function remarks(partition: PartitionReport, { groupId, topic }: LedgerReport): string[] {
  const { committedOffset, firstOffset, endOffset, behindTransaction, lost, problem, unknownEnvironments } =
    partition;
  const where = `Partition ${partition.partition}`;
  const lines: string[] = [];
  if (lost > 0) {
    lines.push(
      `${where}: ${grouped(lost)} records expired before they were settled: committed is ${committedOffset}, the first that is left ${firstOffset}. Those opt-outs must be sent again, and the topic's retention be made longer.`,
    );
  }
  if (behindTransaction > 0) {
    lines.push(transactionRemark({ partition: partition.partition, records: behindTransaction }, topic));
  }
  if (committedOffset !== null && committedOffset > endOffset) {
    lines.push(
      `${where}: the committed offset lies behind the end, so the topic was made anew. Choose another kafka.groupId for it, or its first records are passed over.`,
    );
  }
  if (problem !== null) {
    lines.push(
      `${where}: the commit's metadata is no ledger (${problem}). Something else may have committed for the group ${groupId}. What was acknowledged there is unknown; the relay cuts and sends those batches anew.`,
    );
  }
  if (unknownEnvironments.length > 0) {
    lines.push(
      `${where}: the ledger also holds acknowledgements of environments that this configuration hasn't (by hash: ${unknownEnvironments.join(", ")}). They are ignored; is it the relay's own configuration?`,
    );
  }
  return lines;
}
