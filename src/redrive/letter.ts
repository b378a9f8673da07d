import { createHash } from "node:crypto";
import type { IHeaders, Message } from "kafkajs";
import { deadLetterHeaders } from "../results/dead-letter.ts";
import { isRedrivenHeader, readRedriven, textHeaders, writeRedriven } from "./headers.ts";
import type { ShownProvenance } from "./provenance.ts";

/** A record of the dead-letter topic, as kafkajs has it. */
export interface LetterRecord {
  key: Buffer | null;
  value: Buffer | null;
  headers?: IHeaders | undefined;
  offset: string;
  timestamp: string;
}

/** What a dead letter says of the event that was rejected, without that event's own bytes. */
export interface Letter extends ShownProvenance {
  /** Where it is in the dead-letter topic. */
  partition: number;
  offset: number;
  /** When it was written, in milliseconds since the epoch. */
  at: number;
  /** The rejected event, and the one rejected first if it had been redriven; by their `statusId`. */
  statusId: string;
  origin: string;
  /** How often it had been redriven. */
  redriven: number;
  /** Where the rejected event is. */
  event: { topic: string; partition: number };
  reason: string;
  /** The reason in words, without a phone number. */
  detail: string;
  /** Null if it was rejected before it went to any. */
  environment: string | null;
  /** False if something of the event was too large to be kept. */
  isWhole: boolean;
  /** The event has no value, so it can't but be rejected again. */
  isEmpty: boolean;
  /** Of the event's key and value, if it is whole: a topic that was made anew gives its offsets once more. */
  digest: string;
}

const NAMES = Object.keys(deadLetterHeaders.shape);

/** Undefined for a record that no relay wrote. */
export function readLetter(
  record: LetterRecord,
  partition: number,
  provenance: ShownProvenance,
): Letter | undefined {
  const { headers = {}, key, value } = record;
  const read = deadLetterHeaders.safeParse(textHeaders(headers, NAMES)).data;
  if (read === undefined) return undefined;
  const topic = read["__connect.errors.topic"];
  const eventPartition = Number(read["__connect.errors.partition"]);
  const statusId = `${topic}:${eventPartition}:${read["__connect.errors.offset"]}`;
  const redriven = readRedriven(headers);
  const omitted = [
    read["optout.key.omitted.bytes"],
    read["optout.value.omitted.bytes"],
    read["optout.headers.omitted.bytes"],
  ];
  const isWhole = omitted.every((bytes) => bytes === undefined);
  return {
    ...provenance,
    partition,
    offset: Number(record.offset),
    at: Number(record.timestamp),
    statusId,
    origin: redriven?.origin ?? statusId,
    redriven: redriven?.count ?? 0,
    event: { topic, partition: eventPartition },
    reason: read["optout.reason"],
    detail: read["__connect.errors.exception.message"],
    environment: read["optout.environment"] ?? null,
    isWhole,
    isEmpty: isWhole && value === null,
    digest: isWhole ? digestOf(key, value) : "",
  };
}

function digestOf(key: Buffer | null, value: Buffer | null): string {
  const hash = createHash("sha256").update(`${key?.length} ${value?.length} `);
  for (const part of [key, value]) if (part !== null) hash.update(part);
  return hash.digest("base64").slice(0, 16);
}

/**
 * The event of a dead letter as it was sent, key, value and headers, and where it comes from. It goes to the partition it
 * was in, as its producer chose it, unless the topic has no such partition any more.
 * It has a timestamp of its own: with its old one, it could be older than what its topic retains.
 */
export function redrivenEvent(record: LetterRecord, letter: Letter, at: string, partitions: number): Message {
  const { statusId, origin, redriven, event } = letter;
  const isOwn = (name: string): boolean => Object.hasOwn(deadLetterHeaders.shape, name);
  const original = Object.entries(record.headers ?? {})
    .filter(([name]) => !isOwn(name) && !isRedrivenHeader(name))
    .map(([name, value]) => [name, sendable(value)] as const);
  return {
    key: record.key,
    value: record.value,
    headers: {
      ...Object.fromEntries(original),
      ...writeRedriven({ origin, from: statusId, at, count: redriven + 1 }),
    },
    ...(event.partition < partitions && { partition: event.partition }),
  };
}

/** kafkajs reads a header without a value as null, alone or among repeated ones, and throws when it is to send one. */
function sendable(value: IHeaders[string] | null): Buffer | string | (Buffer | string)[] {
  if (Array.isArray(value)) return value.map((item: Buffer | string | null) => item ?? "");
  return value ?? "";
}
