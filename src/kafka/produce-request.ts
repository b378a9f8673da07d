import type { IHeaders, Message } from "kafkajs";
import produce, { type ProduceArguments } from "kafkajs/src/protocol/requests/produce/index.js";
import { crc32c } from "./crc32c.ts";

/** Of a record batch before its records, from its first offset to their number; and the part that no checksum covers. */
const BATCH_HEAD_BYTES = 61;
const BEFORE_CHECKSUMMED_BYTES = 21;
/** Of those, what comes before the length that the batch gives of itself, with that length. */
const BEFORE_LENGTH_BYTES = 12;
const MAGIC = 2;
/** The first version that has record batches. */
const MIN_VERSION = 3;
/** Of a producer that isn't an idempotent one. */
const NO_PRODUCER_ID = -1;
/** Milliseconds, of about the year 37,000: differences of such times can still be doubled. */
const MAX_TIME = 2 ** 50;

const { protocol } = produce;

/**
 * kafkajs 2.2.4 makes some four buffers for each record that it produces, and copies it as often: most of the time that a
 * status record takes. Here a request is measured, and then written into one buffer; the bytes are the same. Compressed
 * ones and those of transactions and idempotent producers are left to kafkajs.
 * Worth: a third of the time, for records of 800 bytes.
 */
export function mendProducing(): void {
  produce.protocol = (of) => {
    const build = protocol(of);
    if (of.version < MIN_VERSION) return build;
    return (given) => {
      const built = build(given);
      const { compression = 0, transactionalId, producerId = NO_PRODUCER_ID } = given;
      const isPlain = compression === 0 && transactionalId == null && producerId === NO_PRODUCER_ID;
      if (!isPlain) return built;
      const encode = async () => {
        const body = encodeProduce(given);
        return body === undefined ? built.request.encode() : { buf: body, buffer: body };
      };
      return { ...built, request: { ...built.request, encode } };
    };
  };
}

/** A message, and what is worked out of it before it is written. */
interface Record {
  key: Part;
  value: Part;
  headers: readonly (readonly [string, Part])[];
  /** Milliseconds after the first of its batch. */
  delta: number;
  /** Without the length before it. */
  bytes: number;
}

interface Batch {
  partition: number;
  records: readonly Record[];
  /** Milliseconds since the epoch. */
  first: number;
  max: number;
  bytes: number;
}

type Part = Buffer | string | null | undefined;

/** Body of a Produce request, versions 3 to 8, without compression; undefined if times in it are too large for plain numbers. */
export function encodeProduce(
  { acks, timeout, topicData }: ProduceArguments,
  now = Date.now(),
): Buffer | undefined {
  const topics = topicData.map(({ topic, partitions }) => ({
    topic,
    batches: partitions.map((each) => measured(each, now)),
  }));
  let bytes = 2 + 2 + 4 + 4;
  for (const { topic, batches } of topics) {
    bytes += 2 + Buffer.byteLength(topic) + 4;
    for (const batch of batches) {
      if (!(Math.abs(batch.first) < MAX_TIME && Math.abs(batch.max) < MAX_TIME)) return undefined;
      bytes += 4 + 4 + batch.bytes;
    }
  }
  const write = createWriter(bytes);
  // No transaction.
  write.int16(-1);
  write.int16(acks);
  write.int32(timeout);
  write.int32(topics.length);
  for (const { topic, batches } of topics) {
    write.int16(Buffer.byteLength(topic));
    write.bytes(topic);
    write.int32(batches.length);
    for (const batch of batches) {
      write.int32(batch.partition);
      write.int32(batch.bytes);
      writeBatch(write, batch);
    }
  }
  return write.buffer;
}

function measured(
  { partition, messages }: { partition: number; messages: readonly Message[] },
  now: number,
): Batch {
  let [first, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { timestamp } of messages) {
    if (timestamp === undefined || timestamp === null) continue;
    first = Math.min(first, Number(timestamp));
    max = Math.max(max, Number(timestamp));
  }
  if (first > max) [first, max] = [now, now];
  const records = messages.map((message, index) => recordOf(message, index, first, now));
  const bytes = records.reduce(
    (sum, record) => sum + varIntBytes(record.bytes) + record.bytes,
    BATCH_HEAD_BYTES,
  );
  return { partition, records, first, max, bytes };
}

const lengthOf = (part: Buffer | string): number =>
  typeof part === "string" ? Buffer.byteLength(part) : part.length;

const partBytes = (part: Part): number => {
  if (part === null || part === undefined) return varIntBytes(-1);
  const length = lengthOf(part);
  return varIntBytes(length) + length;
};

function recordOf(
  { key, value, headers: given, timestamp }: Message,
  index: number,
  first: number,
  now: number,
): Record {
  const headers = headersOf(given);
  const delta = Number(timestamp || now) - first;
  let bytes = 1 + varIntBytes(delta) + varIntBytes(index) + partBytes(key) + partBytes(value);
  bytes += varIntBytes(headers.length);
  for (const [name, header] of headers) bytes += partBytes(name) + partBytes(header);
  return { key, value, headers, delta, bytes };
}

const NONE: readonly [string, Part][] = [];

const headersOf = (headers: IHeaders | undefined): readonly (readonly [string, Part])[] =>
  headers === undefined ? NONE : Object.entries(headers).flatMap(([name, value]) => named(name, value));

const named = (name: string, value: IHeaders[string]): (readonly [string, Part])[] =>
  Array.isArray(value) ? value.map((each) => [name, each]) : [[name, value]];

function writeBatch(write: Writer, { records, first, max, bytes }: Batch): void {
  const start = write.position;
  write.int64(0);
  write.int32(bytes - BEFORE_LENGTH_BYTES);
  // The leader's epoch, which only brokers know.
  write.int32(0);
  write.int8(MAGIC);
  write.int32(0);
  write.int16(0);
  write.int32(records.length - 1);
  write.int64(first);
  write.int64(max);
  // No producer id, of epoch and sequence 0.
  write.int64(-1);
  write.int16(0);
  write.int32(0);
  write.int32(records.length);
  records.forEach(({ key, value, headers, delta, bytes }, index) => {
    write.varInt(bytes);
    write.int8(0);
    write.varInt(delta);
    write.varInt(index);
    write.part(key);
    write.part(value);
    write.varInt(headers.length);
    for (const [name, header] of headers) {
      write.part(name);
      write.part(header);
    }
  });
  const checksummed = write.buffer.subarray(start + BEFORE_CHECKSUMMED_BYTES, write.position);
  write.buffer.writeUInt32BE(crc32c(checksummed), start + BEFORE_CHECKSUMMED_BYTES - 4);
}

/** Zigzag: small numbers of either sign are short. In plain numbers, so up to 2^52. */
const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value);

function varIntBytes(value: number): number {
  let bytes = 1;
  for (let rest = zigzag(value); rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

type Writer = ReturnType<typeof createWriter>;

function createWriter(bytes: number) {
  const buffer = Buffer.allocUnsafe(bytes);
  let at = 0;
  const varInt = (value: number): void => {
    let rest = zigzag(value);
    for (; rest >= 128; rest = Math.floor(rest / 128)) buffer[at++] = (rest % 128) | 128;
    buffer[at++] = rest;
  };
  const raw = (part: Buffer | string): void => {
    at += typeof part === "string" ? buffer.write(part, at) : part.copy(buffer, at);
  };
  return {
    buffer,
    get position() {
      return at;
    },
    int8(value: number): void {
      at = buffer.writeInt8(value, at);
    },
    int16(value: number): void {
      at = buffer.writeInt16BE(value, at);
    },
    int32(value: number): void {
      at = buffer.writeInt32BE(value, at);
    },
    int64(value: number): void {
      at = buffer.writeBigInt64BE(BigInt(value), at);
    },
    varInt,
    bytes: raw,
    part(part: Part): void {
      if (part === null || part === undefined) {
        varInt(-1);
        return;
      }
      varInt(lengthOf(part));
      raw(part);
    },
  };
}
