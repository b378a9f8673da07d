import type { Admin, KafkaMessage } from "kafkajs";
import { OptoutError } from "../errors.ts";
import type { InspectContext } from "../inspect/context.ts";
import { readableBounds, readLedgers } from "../inspect/ledgers.ts";
import { createSchemas, type Schemas } from "../inspect/schemas.ts";
import { decodeStatus, type FoundStatus } from "../inspect/statuses.ts";
import { behindTransactions } from "../inspect/transactions.ts";
import { highWatermarks, readTopic } from "../kafka/topic-reader.ts";
import { requireTopics, withAdmin } from "../kafka/topics.ts";
import { CLOCK_SKEW_MS } from "../redrive/plan.ts";
import { type Collector, createCollector } from "./collector.ts";
import { isTimed } from "./opt-out.ts";
import type { ReportRead } from "./report.ts";

export interface EvidenceQuery {
  /** When the opt-outs were received, in milliseconds since the epoch; inclusive. */
  from: number;
  /** Exclusive. */
  to: number;
  /** E.164; undefined: everybody's. */
  phone: string | undefined;
}

export interface EvidenceContext extends InspectContext {
  signal: AbortSignal;
}

const NAMED_UNREADABLE = 20;

/**
 * Gives each opt-out that was received in the period and has its final outcome, once, in no order, as it is read: nothing
 * grows with their number but what `createCollector` says. Rejects with an explained OptoutError.
 */
export async function readEvidence(
  query: EvidenceQuery,
  context: EvidenceContext,
  give: (status: FoundStatus) => Promise<void>,
): Promise<ReportRead> {
  const { kafka, config } = context;
  const { brokers } = config.kafka;
  const topic = config.topics.status;
  const schemas = createSchemas(config, context.registryPatience);
  try {
    return await withAdmin(kafka, brokers, async (admin) => {
      await requireTopics(admin, config, ["status"]);
      // Before the statuses: what is settled meanwhile is counted here and told there too, and nothing is missed.
      const unsettled = await unsettledOf(admin, context);
      const highs = await highWatermarks({ kafka, brokers, topic });
      const bounds = await readableBounds(admin, topic, highs);
      const read = emptyRead(unsettled);
      read.behindTransaction = behindTransactions(bounds);
      read.expired = bounds
        .filter(({ firstOffset, endOffset }) => firstOffset > 0 && firstOffset === endOffset)
        .map(({ partition }) => ({ partition, oldestRecordAt: null }));
      const firsts = new Map(bounds.map(({ partition, firstOffset }) => [partition, firstOffset]));
      const collector = createCollector();
      await readAll(query, context, { schemas, collector, firsts, read }, give);
      return { ...read, repeats: collector.repeats, problem: schemas.failure?.message ?? null };
    });
  } finally {
    schemas.close();
  }
}

const emptyRead = (unsettled: number | null): ReportRead => ({
  ...{ records: 0, repeats: 0, unreadable: { records: 0, first: [] } },
  ...{ expired: [], behindTransaction: [], unsettled, problem: null },
});

interface Reading {
  schemas: Schemas;
  collector: Collector;
  /** Offsets of the first records that are left, by partition. */
  firsts: ReadonlyMap<number, number>;
  read: ReportRead;
}

async function readAll(
  query: EvidenceQuery,
  { kafka, config, signal, progress }: EvidenceContext,
  { schemas, collector, firsts, read }: Reading,
  give: (status: FoundStatus) => Promise<void>,
): Promise<void> {
  const topic = config.topics.status;
  const key = query.phone === undefined ? undefined : Buffer.from(query.phone);
  // A status is written after its event, and any time after: to the topic's end, whatever the period's.
  const from = { time: Math.max(0, query.from - CLOCK_SKEW_MS) };
  const source = { kafka, brokers: config.kafka.brokers, topic, from, signal };
  for await (const { partition, messages, progress: reached } of readTopic(source)) {
    noteExpired(partition, messages[0], firsts, read);
    for (const message of messages) {
      if (key !== undefined && message.key?.equals(key) !== true) continue;
      const status = await decodeStatus(message, schemas);
      if (!("statusId" in status)) noteUnreadable(partition, message, status.detail, read);
      else if (!isTimed(status)) noteUnreadable(partition, message, "its origin has no time", read);
      else if (isWithin(status, query)) for (const each of collector.add(status)) await give(each);
    }
    read.records = reached.done;
    progress(`reading ${topic}`, reached);
  }
  for (const each of collector.finish()) await give(each);
}

function isWithin({ origin }: FoundStatus, { from, to }: EvidenceQuery): boolean {
  const received = Date.parse(origin.timestamp);
  return received >= from && received < to;
}

function noteExpired(
  partition: number,
  first: KafkaMessage | undefined,
  firsts: Reading["firsts"],
  { expired }: ReportRead,
): void {
  const offset = firsts.get(partition) ?? 0;
  if (first === undefined || offset === 0 || Number(first.offset) !== offset) return;
  expired.push({ partition, oldestRecordAt: new Date(Number(first.timestamp)).toISOString() });
}

function noteUnreadable(
  partition: number,
  { offset }: KafkaMessage,
  detail: string,
  { unreadable }: ReportRead,
): void {
  unreadable.records++;
  if (unreadable.first.length < NAMED_UNREADABLE) {
    unreadable.first.push({ partition, offset: Number(offset), detail });
  }
}

/** An archive of the status topic has no events topic beside it: then it isn't known. */
async function unsettledOf(admin: Admin, { kafka, config }: InspectContext): Promise<number | null> {
  try {
    await requireTopics(admin, config, ["events"]);
    const ledgers = await readLedgers({ admin, kafka }, config);
    return ledgers.reduce((sum, { committedOffset, firstOffset, endOffset, batches }) => {
      const settled = batches
        .filter((batch) => batch.settled)
        .reduce((records, { first, last }) => records + last - first + 1, 0);
      const behind = endOffset - Math.max(committedOffset ?? firstOffset, firstOffset);
      return sum + Math.max(0, behind - settled);
    }, 0);
  } catch (error) {
    if (error instanceof OptoutError && error.code === "kafka_unreachable") throw error;
    return null;
  }
}
