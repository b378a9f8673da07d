import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import fc from "fast-check";
import { registerCodecs } from "../../src/kafka/codecs.ts";
import "../../src/kafka/quirks.ts";

type Headers = Record<string, unknown>;
type Pair = readonly [name: string | null, value: Buffer | null];

interface Message {
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

const responseOf = (fetch: FetchProtocol, version: number): FetchResponse =>
  fetch.protocol({ version })({ maxWaitTime: 0, topics: [] }).response;

async function messagesOf(response: FetchResponse, raw: Buffer): Promise<Message[]> {
  const { responses } = await response.decode(raw);
  return responses[0]?.partitions[0]?.messages ?? assert.fail("no partition");
}

/** kafkajs' own way from a broker's answer to the messages. */
const decode = (recordSet: Buffer, version = 11): Promise<Message[]> =>
  messagesOf(responseOf(require(FETCH) as FetchProtocol, version), fetchResponse(recordSet, version));

/** The same in kafkajs as it is published: loaded a second time, apart from the one that is mended. */
function unmendedDecode(): (recordSet: Buffer) => Promise<Message[]> {
  const isKafkajs = (path: string): boolean => /[\\/]node_modules[\\/]kafkajs[\\/]/.test(path);
  const mended = Object.entries(require.cache).filter(([path]) => isKafkajs(path));
  for (const [path] of mended) delete require.cache[path];
  const response = responseOf(require(FETCH) as FetchProtocol, 11);
  for (const path of Object.keys(require.cache).filter(isKafkajs)) delete require.cache[path];
  for (const [path, module] of mended) require.cache[path] = module;
  return (recordSet) => messagesOf(response, fetchResponse(recordSet, 11));
}

const int8 = (value: number): Buffer => Buffer.from([value & 0xff]);
const int16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}
const sized = (bytes: Buffer | null): Buffer =>
  bytes === null ? varint(-1) : Buffer.concat([varint(bytes.length), bytes]);

function record(index: number, headers: readonly Pair[] = [], value: Buffer | null = null): Buffer {
  const pairs = headers.flatMap(([name, content]) => [
    sized(name === null ? null : Buffer.from(name)),
    sized(content),
  ]);
  const fields = [int8(0), varint(0), varint(index), sized(null), sized(value), varint(headers.length)];
  return sized(Buffer.concat([...fields, ...pairs]));
}

const GZIP = 1;

async function batch(firstOffset: number, records: readonly Buffer[], codec = 0): Promise<Buffer> {
  const plain = Buffer.concat(records);
  const last = records.length - 1;
  const afterMagic = [int32(0), int16(codec), int32(last), int64(1e12), int64(1e12), int64(-1), int16(-1)];
  const body = Buffer.concat([
    int32(0),
    int8(2),
    ...afterMagic,
    int32(-1),
    int32(records.length),
    codec === GZIP ? await promisify(gzip)(plain) : plain,
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

const headersOf = async (pairs: readonly Pair[]): Promise<Headers> =>
  (await decode(await batch(0, [record(0, pairs)])))[0]?.headers ?? assert.fail("no message");

/** Milliseconds, of the quickest of a few runs. */
async function quickest(run: () => Promise<unknown>, runs = 5): Promise<number> {
  const times: number[] = [];
  while (times.length < runs) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return Math.min(...times);
}

const numbered = (count: number, name: (index: number) => string): Pair[] =>
  Array.from({ length: count }, (_, index) => [name(index), int8(index)] as const);

for (const [what, name] of [
  ["of as many names", (index: number) => `h${index}`],
  ["of one name", () => "h"],
] as const) {
  test(`ten times the headers ${what} take some ten times as long to decode, not a hundred times`, async () => {
    const few = await batch(0, [record(0, numbered(1_000, name))]);
    const many = await batch(0, [record(0, numbered(10_000, name))]);
    const [message] = await decode(many);
    assert.equal(Object.values(message?.headers ?? {}).flat().length, 10_000);
    const ratio = (await quickest(() => decode(many))) / (await quickest(() => decode(few)));
    assert.ok(ratio < 40, `${ratio} times`);
  });
}

test("a header that comes several times is an array, a null one is null, and order is kept", async () => {
  const [a, b, c] = [Buffer.from("a"), Buffer.from("b"), Buffer.from("")];
  const headers = await headersOf([
    ["x", a],
    ["y", null],
    ["x", b],
    ["", a],
    ["x", c],
    ["y", b],
    [null, c],
  ]);
  assert.deepEqual(headers, { x: [a, b, c], y: [null, b], "": a, null: c });
  assert.deepEqual(Object.keys(headers), ["x", "y", "", "null"]);
  assert.deepEqual(await headersOf([]), {});
});

test("headers named like members of Object.prototype are the record's own values alone", async () => {
  const names = Object.getOwnPropertyNames(Object.prototype);
  assert.ok(names.includes("__proto__") && names.includes("constructor") && names.includes("toString"));
  const [first, second] = [Buffer.from("1"), Buffer.from("2")];
  const once = await headersOf(names.map((name) => [name, first]));
  assert.equal(Object.getPrototypeOf(once), Object.prototype);
  assert.deepEqual(
    Object.entries(once),
    names.map((name) => [name, first]),
  );
  const twice = await headersOf(
    [...names, ...names].map((name, at) => [name, at < names.length ? first : second]),
  );
  assert.deepEqual(
    Object.entries(twice),
    names.map((name) => [name, [first, second]]),
  );
  assert.equal(Object.hasOwn({}, "1"), false);
});

const bytes = fc.uint8Array({ maxLength: 5 }).map((content) => Buffer.from(content));
const ordinaryName = fc
  .oneof(fc.constantFrom("a", "b", "1", "0", ""), fc.string({ unit: "binary", maxLength: 6 }))
  .filter((name) => !(name in Object.prototype));
const pair = fc.tuple(fc.option(ordinaryName, { freq: 9 }), fc.option(bytes, { freq: 9 }));
const someRecord = fc.tuple(fc.array(pair, { maxLength: 8 }), fc.option(bytes));
const someBatch = fc.tuple(fc.array(someRecord, { maxLength: 4 }), fc.constantFrom(0, GZIP));

test("ordinary records decode as they did, wherever the broker cuts the answer off", async () => {
  registerCodecs();
  const unmended = unmendedDecode();
  const [mistaken] = await unmended(await batch(0, [record(0, [["constructor", null]])]));
  assert.deepEqual(mistaken?.headers, { constructor: [Object, null] }, "this kafkajs is mended");
  const outcome = (promise: Promise<Message[]>) =>
    promise.then(
      (messages) => ({ messages, order: messages.map(({ headers }) => Object.keys(headers)) }),
      (error: unknown) => ({ error: String(error) }),
    );
  await fc.assert(
    fc.asyncProperty(fc.array(someBatch, { maxLength: 3 }), fc.nat({ max: 200 }), async (batches, cut) => {
      const encoded = await Promise.all(
        batches.map(([records, codec], at) =>
          batch(
            at * 10,
            records.map(([headers, value], index) => record(index, headers, value)),
            codec,
          ),
        ),
      );
      const whole = Buffer.concat(encoded);
      const recordSet = whole.subarray(0, cut > 100 ? whole.length : Math.max(0, whole.length - cut));
      if (recordSet.length > 0 && recordSet.length < 17) assert.deepEqual(await decode(recordSet), []);
      else assert.deepEqual(await outcome(decode(recordSet)), await outcome(unmended(recordSet)));
    }),
    { numRuns: 300 },
  );
});

for (const version of [4, 5, 7, 8, 11]) {
  test(`200,000 records in one small batch are read, with version ${version} of the fetch`, async () => {
    registerCodecs();
    const records = Array.from({ length: 200_000 }, (_, index) => record(index));
    const tombstones = await batch(5, records, GZIP);
    const next = await batch(200_005, [record(0, [], Buffer.from("next"))]);
    const messages = await decode(Buffer.concat([tombstones, next]), version);
    assert.equal(messages.length, 200_001);
    assert.equal(messages[199_999]?.offset, "200004");
    assert.deepEqual(messages.at(-1)?.value, Buffer.from("next"));
  });
}

test("what the broker still keeps in the old format is left to kafkajs", async () => {
  const message = Buffer.concat([
    int32(0),
    int8(1),
    int8(0),
    int64(1e12),
    int32(-1),
    int32(2),
    Buffer.from("v1"),
  ]);
  const [decoded, ...others] = await decode(Buffer.concat([int64(7), int32(message.length), message]));
  assert.equal(others.length, 0);
  assert.equal(decoded?.offset, "7");
  assert.deepEqual(decoded?.value, Buffer.from("v1"));
});
