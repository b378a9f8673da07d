import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import kafkajs from "kafkajs";
import { compress as lz4 } from "lz4js";
import { compress as snappy } from "snappyjs";
import "../../src/kafka/quirks.ts";

export type Headers = Record<string, unknown>;
export type Pair = readonly [name: string | null, value: Buffer | null];

export interface Message {
  timestamp: string;
  offset: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: Headers;
}

interface FetchResponse {
  decode(raw: Buffer): Promise<{ responses: { partitions: { messages: Message[] }[] }[] }>;
}

interface FetchProtocol {
  protocol(options: {
    version: number;
  }): (request: { maxWaitTime: number; topics: unknown[] }) => { response: FetchResponse };
}

const require = createRequire(import.meta.url);
const FETCH = "kafkajs/src/protocol/requests/fetch/index.js";
const COMPRESSION = "kafkajs/src/protocol/message/compression/index.js";

const responseOf = (fetch: FetchProtocol, version: number): FetchResponse =>
  fetch.protocol({ version })({ maxWaitTime: 0, topics: [] }).response;

async function messagesOf(response: FetchResponse, raw: Buffer): Promise<Message[]> {
  const { responses } = await response.decode(raw);
  return responses[0]?.partitions[0]?.messages ?? assert.fail("no partition");
}

/** kafkajs' own way from a broker's answer to the messages. */
export const decode = (recordSet: Buffer, version = 11): Promise<Message[]> =>
  messagesOf(responseOf(require(FETCH) as FetchProtocol, version), fetchResponse(recordSet, version));

/** The same in kafkajs as it is published, but for the codecs: loaded a second time, apart from the one that is mended. */
export function unmendedDecode(): (recordSet: Buffer) => Promise<Message[]> {
  const isKafkajs = (path: string): boolean => /[\\/]node_modules[\\/]kafkajs[\\/]/.test(path);
  const mended = Object.entries(require.cache).filter(([path]) => isKafkajs(path));
  for (const [path] of mended) delete require.cache[path];
  const response = responseOf(require(FETCH) as FetchProtocol, 11);
  const { Codecs } = require(COMPRESSION) as { Codecs: object };
  Object.assign(Codecs, kafkajs.CompressionCodecs);
  for (const path of Object.keys(require.cache).filter(isKafkajs)) delete require.cache[path];
  for (const [path, module] of mended) require.cache[path] = module;
  return (recordSet) => messagesOf(response, fetchResponse(recordSet, 11));
}

export const int8 = (value: number): Buffer => Buffer.from([value & 0xff]);
export const int16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
export function int64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}
export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  const given = BigInt(value);
  let rest = BigInt.asUintN(64, (given << 1n) ^ (given >> 63n));
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}
/** @param wrong what its length is said to be too much */
export const sized = (bytes: Buffer | null, wrong = 0): Buffer =>
  bytes === null ? varint(-1) : Buffer.concat([varint(bytes.length + wrong), bytes]);

export interface RecordShape {
  attributes?: number;
  timestampDelta?: number | bigint;
  key?: Buffer | null;
  /** Fields that say of themselves to be longer or shorter than they are. */
  wrong?: { record?: number; value?: number; headers?: number };
  /** Behind the last field. */
  rest?: Buffer;
}

export function record(
  offsetDelta: number,
  headers: readonly Pair[] = [],
  value: Buffer | null = null,
  shape: RecordShape = {},
): Buffer {
  const { attributes = 0, timestampDelta = 0, key = null, wrong = {}, rest = Buffer.alloc(0) } = shape;
  const pairs = headers.flatMap(([name, content]) => [
    sized(name === null ? null : Buffer.from(name)),
    sized(content),
  ]);
  const fields = [
    int8(attributes),
    varint(timestampDelta),
    varint(offsetDelta),
    sized(key),
    sized(value, wrong.value),
    varint(headers.length + (wrong.headers ?? 0)),
  ];
  return sized(Buffer.concat([...fields, ...pairs, rest]), wrong.record);
}

/** Raw blocks: a zstd frame that compresses nothing. */
function zstd(content: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(content.length);
  const block = Buffer.alloc(3);
  block.writeUIntLE((content.length << 3) | 1, 0, 3);
  return Buffer.concat([Buffer.from("28b52ffda0", "hex"), size, block, content]);
}

export const [NONE, GZIP, SNAPPY, LZ4, ZSTD] = [0, 1, 2, 3, 4];
const COMPRESSORS = new Map<number, (content: Buffer) => Buffer | Promise<Buffer>>([
  [GZIP, promisify<Buffer, Buffer>(gzip)],
  [SNAPPY, snappy],
  [LZ4, (content) => Buffer.from(lz4(content))],
  [ZSTD, zstd],
]);

export interface BatchShape {
  /** Bits of the batch's attributes besides the codec. */
  flags?: number;
  firstTimestamp?: number | bigint;
  maxTimestamp?: number | bigint;
  producerId?: number | bigint;
  /** What its number of records is said to be too much. */
  wrongCount?: number;
}

export async function batch(
  firstOffset: number | bigint,
  records: readonly Buffer[],
  codec = NONE,
  shape: BatchShape = {},
): Promise<Buffer> {
  const { flags = 0, firstTimestamp = 1e12, maxTimestamp = 1e12, producerId = -1, wrongCount = 0 } = shape;
  const plain = Buffer.concat(records);
  const compress = COMPRESSORS.get(codec);
  const body = Buffer.concat([
    int32(0),
    int8(2),
    int32(0),
    int16(codec | flags),
    int32(records.length - 1),
    int64(firstTimestamp),
    int64(maxTimestamp),
    int64(producerId),
    int16(-1),
    int32(-1),
    int32(records.length + wrongCount),
    compress === undefined ? plain : await compress(plain),
  ]);
  return Buffer.concat([int64(firstOffset), int32(body.length), body]);
}

function fetchResponse(recordSet: Buffer, version: number): Buffer {
  const topic = Buffer.from("opt-outs");
  const session = version >= 7 ? [int16(0), int32(0)] : [];
  const startOffset = version >= 5 ? [int64(0)] : [];
  const replica = version >= 11 ? [int32(-1)] : [];
  const partition = [int32(0), int16(0), int64(0), int64(0), ...startOffset, int32(0), ...replica];
  return Buffer.concat([
    int32(0),
    ...session,
    int32(1),
    int16(topic.length),
    topic,
    int32(1),
    ...partition,
    int32(recordSet.length),
    recordSet,
  ]);
}
