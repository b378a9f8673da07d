import { createRequire } from "node:module";
import Decoder from "kafkajs/src/protocol/decoder.js";
import decodeMessageSet from "kafkajs/src/protocol/messageSet/decoder.js";
import decodeRecordBatch, { type DecodedRecord } from "kafkajs/src/protocol/recordBatch/v0/decoder.js";
import { type FetchedPartition, hideAborted } from "./aborted.ts";
import { decodePlainBatch, headersByName } from "./record-batch.ts";

/*
 * Ways in which kafkajs 2.2.4 dies of records that are few bytes and in order, and of the same ones again after every
 * restart; and one in which it shows records that were withdrawn. Mended as this module loads: kafkajs reads the code that
 * decodes a fetch when it decodes its first one, and from then on keeps the function that it found.
 */

mendHeaders();
mendFetchedMessages();
// Loads what reads the two above.
mendAbortedTransactions();

/**
 * kafkajs copies all earlier headers of a record for every further one: 10,000 in 59 KB take it the better part of a
 * minute, in which no heartbeat leaves. Nothing but headers is read as such an array, and kafkajs does nothing with it but
 * reduce it to an object. So that is what is replaced.
 */
function mendHeaders(): void {
  const { readVarIntArray } = Decoder.prototype;
  Decoder.prototype.readVarIntArray = function (reader) {
    const headers = readVarIntArray.call(this, reader);
    return Object.assign(headers, { reduce: () => headersByName(headers) });
  };
}

/**
 * kafkajs passes the records of a batch as arguments of one call; the stack has room for some 130,000. What replaces it also
 * takes plain batches in its own, quicker way, and gives messages that may be kept without the fetch they came in.
 */
function mendFetchedMessages(): void {
  const require = createRequire(import.meta.url);
  const path = require.resolve("kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js");
  require(path);
  const loaded = require.cache[path];
  if (loaded !== undefined) loaded.exports = decodeMessages;
}

/** See `hideAborted`. The fetch tells of transactions from version 4 on. */
function mendAbortedTransactions(): void {
  const require = createRequire(import.meta.url);
  for (const version of [4, 5, 6, 7, 8, 9, 10, 11]) {
    const protocol: FetchProtocol = require(`kafkajs/src/protocol/requests/fetch/v${version}/response.js`);
    const { decode } = protocol;
    protocol.decode = async (raw) => {
      const response = await decode(raw);
      for (const { partitions } of response.responses) partitions.forEach(hideAborted);
      return response;
    };
  }
}

interface FetchProtocol {
  decode(raw: Buffer): Promise<{ responses: { partitions: FetchedPartition[] }[] }>;
}

const MAGIC_OFFSET = 16;
/** The formats before it are a "message set". */
const RECORD_BATCH_MAGIC = 2;
const RECORD_BATCH_OVERHEAD = 49;

async function decodeMessages(decoder: Decoder): Promise<DecodedRecord[]> {
  const size = decoder.readInt32();
  // Too short to tell its format is cut off; kafkajs lets it end the consumer.
  if (size <= MAGIC_OFFSET || !decoder.canReadBytes(size)) return [];
  const bytes = decoder.readBytes(size);
  const batches = new Decoder(bytes);
  if (bytes.readInt8(MAGIC_OFFSET) !== RECORD_BATCH_MAGIC) {
    return (await decodeMessageSet(batches, size)).map(withoutFetch);
  }
  const messages: DecodedRecord[] = [];
  while (batches.canReadBytes(RECORD_BATCH_OVERHEAD)) {
    const plain = await decodePlainBatch(bytes, batches.offset);
    if (plain !== undefined) {
      for (const message of plain.messages) messages.push(message);
      batches.offset = plain.end;
      continue;
    }
    try {
      const { records } = await decodeRecordBatch(batches);
      for (const record of records) messages.push(withoutFetch(record));
    } catch (error) {
      // A broker cuts off where the fetch's size limit falls; the next fetch begins with the batch that was cut.
      if (error instanceof Error && error.name === "KafkaJSPartialMessageError") break;
      throw error;
    }
  }
  return messages;
}

/** kafkajs' messages are views into the whole fetch, which would stay in memory as long as one of them. */
function withoutFetch(message: DecodedRecord): DecodedRecord {
  const { key, value, headers } = message;
  message.key = copyOf(key);
  message.value = copyOf(value);
  for (const [name, header] of Object.entries(headers ?? {})) {
    headers[name] = Array.isArray(header) ? header.map(copyOf) : copyOf(header);
  }
  return message;
}

const copyOf = (part: Buffer | null): Buffer | null => (part === null ? null : Buffer.from(part));
