import type { Message } from "kafkajs";
import produce, { type ProduceArguments } from "kafkajs/src/protocol/requests/produce/index.js";
import { createChecksum } from "./crc32c.ts";
import { allocateWithHeadroom, mendFraming } from "./headroom.ts";
import {
  headersOf,
  lengthOf,
  type OutgoingRecord,
  type Part,
  type TextWithEnd,
  writeText,
} from "./outgoing.ts";

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

/** What kafkajs takes for one record: all that a request has for a partition, which it would group at great length. */
interface Carrier extends Message {
  carried: readonly OutgoingRecord[];
}

export const carrierOf = (partition: number, carried: readonly OutgoingRecord[]): Carrier => ({
  ...{ partition, carried },
  value: null,
});

const isCarrier = (message: Message): message is Carrier => "carried" in message;

function recordsOf(messages: readonly Message[]): readonly OutgoingRecord[] {
  const [first] = messages;
  if (messages.length === 1 && first !== undefined && isCarrier(first)) return first.carried;
  if (!messages.some(isCarrier)) return messages;
  return messages.flatMap((each): readonly OutgoingRecord[] => (isCarrier(each) ? each.carried : [each]));
}

const { protocol } = produce;

/**
 * kafkajs 2.2.4 makes some four buffers for each record that it produces, and copies it as often: most of the time that a
 * status record takes. Here a request is measured, and then written into one buffer; the bytes are the same. Compressed
 * ones and those of transactions and idempotent producers are left to kafkajs.
 * Worth: a third of the time, for records of 800 bytes.
 */
export function mendProducing(): void {
  mendFraming();
  produce.protocol = (of) => {
    const build = protocol(of);
    return (given) => {
      const { compression = 0, transactionalId, producerId = NO_PRODUCER_ID } = given;
      const isPlain = compression === 0 && transactionalId == null && producerId === NO_PRODUCER_ID;
      if (of.version < MIN_VERSION || !isPlain) return build(asKafkajsHasIt(given));
      const { request, ...built } = build(given);
      const encode = async () => {
        const body = encodeProduce(given);
        return body === undefined
          ? build(asKafkajsHasIt(given)).request.encode()
          : { buf: body, buffer: body };
      };
      return { ...built, request: { ...request, encode } };
    };
  };
}

const asKafkajsHasIt = ({ topicData, ...rest }: ProduceArguments): ProduceArguments => ({
  ...rest,
  topicData: topicData.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map(({ messages, ...of }) => ({
      ...of,
      messages: recordsOf(messages).map(plain),
    })),
  })),
});

const plain = ({ value, ...rest }: OutgoingRecord): Message => ({
  ...rest,
  value: value === null || Buffer.isBuffer(value) ? value : String(value),
});

interface Batch {
  partition: number;
  records: readonly OutgoingRecord[];
  /** Of each record, without the length before it. */
  sizes: readonly number[];
  /** Of each record, in milliseconds since the epoch. */
  times: readonly number[];
  first: number;
  max: number;
  bytes: number;
}

/** Body of a Produce request, versions 3 to 8, without compression; undefined if times in it are too large for plain numbers. */
export function encodeProduce(
  { acks, timeout, topicData }: ProduceArguments,
  now = Date.now(),
): Buffer | undefined {
  const topics = topicData.map(({ topic, partitions }) => ({
    topic,
    batches: partitions.map(({ partition, messages }) => measured(partition, recordsOf(messages), now)),
  }));
  let bytes = 2 + 2 + 4 + 4;
  for (const { topic, batches } of topics) {
    bytes += 2 + lengthOf(topic) + 4;
    for (const batch of batches) {
      if (!(Math.abs(batch.first) < MAX_TIME && Math.abs(batch.max) < MAX_TIME)) return undefined;
      bytes += 4 + 4 + batch.bytes;
    }
  }
  const writer = new Writer(bytes);
  // No transaction.
  writer.int16(-1);
  writer.int16(acks);
  writer.int32(timeout);
  writer.int32(topics.length);
  for (const { topic, batches } of topics) {
    writer.int16(lengthOf(topic));
    writer.text(topic);
    writer.int32(batches.length);
    for (const batch of batches) {
      writer.int32(batch.partition);
      writer.int32(batch.bytes);
      writeBatch(writer, batch);
    }
  }
  return writer.buffer;
}

function measured(partition: number, records: readonly OutgoingRecord[], now: number): Batch {
  let [first, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const times: number[] = [];
  let [lastText, lastTime]: [string | undefined, number] = [undefined, now];
  for (const { timestamp } of records) {
    // Those of one batch mostly have the same.
    if (timestamp !== lastText) [lastText, lastTime] = [timestamp, Number(timestamp || now)];
    times.push(lastTime);
    if (timestamp === undefined || timestamp === null) continue;
    first = Math.min(first, lastTime);
    max = Math.max(max, lastTime);
  }
  if (first > max) [first, max] = [now, now];
  const sizes: number[] = [];
  let bytes = BATCH_HEAD_BYTES;
  for (let index = 0; index < records.length; index++) {
    const size = sizeAt(index, records[index] as OutgoingRecord, (times[index] as number) - first);
    sizes.push(size);
    bytes += varIntBytes(size) + size;
  }
  return { partition, records, sizes, times, first, max, bytes };
}

const partBytes = (part: Part): number => {
  if (part === null || part === undefined) return varIntBytes(-1);
  const length = lengthOf(part);
  return varIntBytes(length) + length;
};

function sizeAt(index: number, { key, value, headers: given }: OutgoingRecord, delta: number): number {
  let bytes = 1 + varIntBytes(delta) + varIntBytes(index) + partBytes(key) + partBytes(value);
  const headers = headersOf(given);
  bytes += varIntBytes(headers.length);
  for (const [name, header] of headers) bytes += partBytes(name) + partBytes(header);
  return bytes;
}

function writeBatch(writer: Writer, { records, sizes, times, first, max, bytes }: Batch): void {
  const start = writer.at;
  writer.int64(0);
  writer.int32(bytes - BEFORE_LENGTH_BYTES);
  // The leader's epoch, which only brokers know.
  writer.int32(0);
  writer.int8(MAGIC);
  writer.int32(0);
  writer.startChecksum();
  writer.int16(0);
  writer.int32(records.length - 1);
  writer.int64(first);
  writer.int64(max);
  // No producer id, of epoch and sequence 0.
  writer.int64(-1);
  writer.int16(0);
  writer.int32(0);
  writer.int32(records.length);
  for (let index = 0; index < records.length; index++) {
    const { key, value, headers: given } = records[index] as OutgoingRecord;
    writer.varInt(sizes[index] as number);
    writer.int8(0);
    writer.varInt((times[index] as number) - first);
    writer.varInt(index);
    writer.part(key);
    writer.part(value);
    const headers = headersOf(given);
    writer.varInt(headers.length);
    for (const [name, header] of headers) {
      writer.part(name);
      writer.part(header);
    }
  }
  writer.buffer.writeUInt32BE(writer.checksum(), start + BEFORE_CHECKSUMMED_BYTES - 4);
}

/** Zigzag: small numbers of either sign are short. In plain numbers, so up to 2^52. */
const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value);

function varIntBytes(value: number): number {
  if (value >= 0 && value < 64) return 1;
  let bytes = 1;
  for (let rest = zigzag(value); rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

class Writer {
  readonly buffer: Buffer;
  at = 0;
  #checksum = createChecksum();
  /** What comes before is in the checksum. */
  #unsummed = 0;

  constructor(bytes: number) {
    this.buffer = allocateWithHeadroom(bytes);
  }

  startChecksum(): void {
    this.#checksum = createChecksum();
    this.#unsummed = this.at;
  }

  /** Of all that was written since its start. */
  checksum(): number {
    this.#sum();
    return this.#checksum.value();
  }

  #sum(): void {
    this.#checksum.add(this.buffer, this.#unsummed, this.at);
    this.#unsummed = this.at;
  }

  int8(value: number): void {
    this.at = this.buffer.writeInt8(value, this.at);
  }

  int16(value: number): void {
    this.at = this.buffer.writeInt16BE(value, this.at);
  }

  int32(value: number): void {
    this.at = this.buffer.writeInt32BE(value, this.at);
  }

  int64(value: number): void {
    this.at = this.buffer.writeBigInt64BE(BigInt(value), this.at);
  }

  varInt(value: number): void {
    let rest = zigzag(value);
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.buffer[this.at++] = (rest % 128) | 128;
    this.buffer[this.at++] = rest;
  }

  text(text: string): void {
    this.at = writeText(text, this.buffer, this.at);
  }

  part(part: Part): void {
    if (part === null || part === undefined) {
      this.varInt(-1);
      return;
    }
    this.varInt(lengthOf(part));
    if (typeof part === "string") this.text(part);
    else if (Buffer.isBuffer(part)) this.#bytes(part);
    else this.#textWithEnd(part);
  }

  #bytes(bytes: Uint8Array): void {
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  #textWithEnd({ buffer, from, to, end }: TextWithEnd): void {
    this.at += buffer.copy(this.buffer, this.at, from, to);
    this.#sum();
    this.#bytes(end.piece.bytes);
    this.#checksum.addRepeated(end.piece);
    this.#unsummed = this.at;
  }
}
