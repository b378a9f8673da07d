import type { Admin, KafkaMessage } from "kafkajs";
import type { Batch, BatchEvent, BatchScope } from "../batching/batch.ts";
import type { LedgerBatch } from "../batching/ledger.ts";
import { pendingPieces } from "../batching/split.ts";
import { createDecoder } from "../events/decode.ts";
import type { Decoded, OptOutEvent } from "../events/event.ts";
import { readTopic } from "../kafka/topic-reader.ts";
import { type Redriven, readRedriven } from "../redrive/headers.ts";
import { createRecutter } from "../relay/recutter.ts";
import { rebuiltBatch } from "../relay/sealed-batch.ts";
import type { InspectContext } from "./context.ts";
import type { PartitionLedger } from "./ledgers.ts";
import { decodeWith, type Schemas } from "./schemas.ts";

/** An event behind the committed offset. */
export interface PendingEvent {
  partition: number;
  offset: number;
  /** Milliseconds since the epoch. */
  timestamp: number;
  event: OptOutEvent;
  redriven: Redriven | null;
  /** Null: it is in no batch of the ledger yet. */
  batch: {
    /** Null: not all of the batch could be read. */
    key: string | null;
    settled: boolean;
    /** By environment, in the configuration's order: whether it has the phone, as far as the ledger tells; null: unknown. */
    acknowledged: (boolean | null)[];
  } | null;
}

export interface PendingRead {
  events: PendingEvent[];
  /** Records behind the committed offsets. */
  records: number;
  /** Of these, the ones without a phone that could be read: there may be opt-outs of anybody among them. */
  withoutPhone: number;
  /** The ones whose schema couldn't be had: likewise. */
  withoutSchema: number;
}

/** Reads all that isn't behind the committed offsets, as the relay would after a restart. Rejects with an explained OptoutError. */
export async function readPending(
  phone: string,
  { admin, ledgers, schemas }: { admin: Admin; ledgers: readonly PartitionLedger[]; schemas: Schemas },
  { kafka, config, progress }: InspectContext,
): Promise<PendingRead> {
  const topic = config.topics.events;
  const { clusterId } = await admin.describeCluster();
  const decode = createDecoder({ normalization: config.normalization, schemas: schemas.cache });
  const scans = new Map(
    ledgers.map(({ partition, batches }) => [
      partition,
      createScan({ clusterId, topic, partition }, batches, phone),
    ]),
  );
  const offsets = new Map(
    ledgers.map(({ partition, committedOffset, firstOffset }) => [partition, committedOffset ?? firstOffset]),
  );
  const read: PendingRead = { events: [], records: 0, withoutPhone: 0, withoutSchema: 0 };
  const source = { kafka, brokers: config.kafka.brokers, topic, from: { offsets } };
  for await (const { partition, messages, progress: reached } of readTopic(source)) {
    for (const message of messages) {
      const decoded = await decodeWith(schemas, decode, message);
      if (decoded === undefined) read.withoutSchema++;
      else if (!decoded.ok) read.withoutPhone++;
      scans.get(partition)?.add(message, decoded);
    }
    read.records = reached.done;
    progress(`reading what is pending in ${topic}`, reached);
  }
  return { ...read, events: [...scans.values()].flatMap((scan) => scan.finish()) };
}

export interface Scan {
  /** @param decoded undefined: it can't be known now what the message holds */
  add(message: KafkaMessage, decoded: Decoded | undefined): void;
  finish(): PendingEvent[];
}

/** Cuts the batches of a partition's ledger again, one at a time, and keeps what concerns the phone. */
export function createScan(scope: BatchScope, ledger: readonly LedgerBatch[], phone: string): Scan {
  const recutter = createRecutter(scope, ledger);
  const found: PendingEvent[] = [];
  const unread: number[] = [];

  const keep = (
    { record, decoded }: Pick<BatchEvent, "record" | "decoded">,
    batch: PendingEvent["batch"],
  ): void => {
    if (!decoded.ok || decoded.event.phone !== phone) return;
    const { offset, timestamp, headers } = record;
    const redriven = readRedriven(headers) ?? null;
    found.push({ partition: scope.partition, offset, timestamp, event: decoded.event, redriven, batch });
  };
  const keepComplete = (): void => {
    for (const { batch, entry } of recutter.takeComplete()) {
      const isWhole = !unread.some((offset) => offset >= entry.first && offset <= entry.last);
      for (const event of batch.events) {
        keep(event, isWhole ? batchOf(batch, entry, event.entry) : unreadBatch(entry));
      }
    }
  };

  return {
    add(message, known) {
      const decoded = known ?? UNREAD;
      if (known === undefined) unread.push(Number(message.offset));
      const { key, value, headers = {} } = message;
      const record = {
        ...{ key, value, headers },
        offset: Number(message.offset),
        timestamp: Number(message.timestamp),
      };
      if (recutter.offer(record, decoded).isStray) keep({ record, decoded }, null);
      keepComplete();
    },
    finish() {
      recutter.advance(Number.POSITIVE_INFINITY);
      keepComplete();
      return found;
    },
  };
}

/** Takes the place of what can't be read in its batch. */
const UNREAD: Decoded = {
  ok: false,
  reason: "undecodable",
  detail: "its schema can't be had",
  ...{ eventId: null, source: "unknown", occurredAt: null },
};

/** Of a batch whose body can't be known, the ledger tells who has it whole, and no more. */
const unreadBatch = ({ settled, acknowledged }: LedgerBatch): PendingEvent["batch"] => ({
  ...{ key: null, settled },
  acknowledged: acknowledged.map((flag) => flag || null),
});

/** What the ledger says of one entry of a batch; nothing, if the batch's body isn't the one that was sent. */
function batchOf(batch: Batch, entry: LedgerBatch, index: number): PendingEvent["batch"] {
  const { settled, acknowledged, splits } = rebuiltBatch(batch, entry);
  const isTaken = (split: (typeof splits)[number]): boolean =>
    split !== undefined &&
    !pendingPieces(split, batch.entries.length).some(({ from, to }) => index >= from && index < to);
  return {
    key: batch.key,
    settled,
    acknowledged: acknowledged.map((flag, environment) => flag || isTaken(splits[environment])),
  };
}
