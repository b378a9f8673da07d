import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { registerCodecs } from "../../src/kafka/codecs.ts";
import {
  type BatchShape,
  batch,
  decode,
  GZIP,
  LZ4,
  type Message,
  NONE,
  type Pair,
  type RecordShape,
  record,
  SNAPPY,
  unmendedDecode,
  ZSTD,
} from "./kafka-fetch-fixture.ts";

registerCodecs();
const unmended = unmendedDecode();

const LOG_APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
/** Mostly of the size that they are, and around every length of a varint. */
const delta = fc.oneof(
  fc.integer({ min: -300, max: 300 }),
  fc
    .tuple(fc.nat({ max: 62 }), fc.integer({ min: -2, max: 2 }))
    .map(([bits, by]) => 2n ** BigInt(bits) + BigInt(by)),
  int64,
);
const time = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(0, -1, 1.7e12, -1.7e12) },
  { weight: 1, arbitrary: fc.oneof(int64, fc.constantFrom(2n ** 52n, 2n ** 52n - 1n, 1.7e18)) },
);
// Of small bytes, for kafkajs counts up to what it takes for the number of headers, which may be two thousand million.
const bytes = fc.option(
  fc.uint8Array({ maxLength: 90, max: 0x7f }).map((content) => Buffer.from(content)),
  { freq: 6 },
);
const name = fc.oneof(
  fc.constantFrom("a", "b", "1", ""),
  fc.string({ unit: "grapheme-ascii", maxLength: 6 }),
);
const pairs = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Pair[]>([]) },
  { weight: 1, arbitrary: fc.array(fc.tuple(fc.option(name, { freq: 9 }), bytes), { maxLength: 5 }) },
);
/** Nearly always none. */
const wrong = fc.oneof(
  { weight: 40, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.integer({ min: -4, max: 4 }) },
);
const offsetDelta = fc.oneof(
  { weight: 9, arbitrary: fc.nat({ max: 20_000 }) },
  { weight: 1, arbitrary: fc.integer() },
);
const shapeOfRecord: fc.Arbitrary<RecordShape> = fc.record({
  attributes: fc.constantFrom(0, 0, 1, -1),
  timestampDelta: delta,
  key: bytes,
  wrong: fc.record({ value: wrong, headers: wrong }),
  rest: fc.constantFrom(Buffer.alloc(0), Buffer.alloc(0), Buffer.from([7, 100])),
});
const someRecord = fc
  .tuple(offsetDelta, pairs, bytes, shapeOfRecord)
  .map(([at, headers, value, shape]) => record(at, headers, value, shape));
/** Perhaps not as long as it says. */
const lastRecord = fc
  .tuple(wrong, bytes)
  .map(([by, value]) => (by === 0 ? [] : [record(9, [], value, { wrong: { record: by } })]));
const shapeOfBatch: fc.Arbitrary<BatchShape> = fc.record({
  flags: fc.constantFrom(0, 0, 0, LOG_APPEND_TIME, TRANSACTIONAL, TRANSACTIONAL | CONTROL, 0x40),
  firstTimestamp: time,
  maxTimestamp: time,
  producerId: fc.oneof(fc.constantFrom(-1, 4_000), int64),
  wrongCount: wrong,
});
const firstOffset = fc.oneof(fc.nat(), fc.constantFrom(2n ** 52n, 2n ** 62n, -5));
const someBatch = fc.record({
  firstOffset,
  records: fc.tuple(fc.array(someRecord, { maxLength: 6 }), lastRecord).map((parts) => parts.flat()),
  // What isn't a codec is read as if it weren't compressed.
  codec: fc.constantFrom(NONE, NONE, NONE, GZIP, SNAPPY, LZ4, ZSTD, 5),
  shape: shapeOfBatch,
});

const outcome = (decoding: Promise<Message[]>) =>
  decoding.then(
    (messages) => ({ messages, order: messages.map(({ headers }) => Object.keys(headers)) }),
    (error: unknown) => ({ error: String(error) }),
  );

test("record batches of every kind, damaged ones and cut ones too, are read as kafkajs reads them", async () => {
  let whole = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(someBatch, { maxLength: 3 }), fc.nat({ max: 200 }), async (batches, cut) => {
      const encoded = await Promise.all(
        batches.map(({ firstOffset: first, records, codec, shape }) => batch(first, records, codec, shape)),
      );
      const all = Buffer.concat(encoded);
      const recordSet = all.subarray(0, cut > 100 ? all.length : Math.max(0, all.length - cut));
      // kafkajs dies of those; see the quirks.
      fc.pre(recordSet.length === 0 || recordSet.length > 16);
      const expected = await outcome(unmended(recordSet));
      assert.deepEqual(await outcome(decode(recordSet)), expected);
      if ("messages" in expected && expected.messages.length > 1) whole++;
    }),
    { numRuns: 500 },
  );
  assert.ok(whole > 100, `only ${whole} had records`);
});

test("timestamps are read as kafkajs reads them, however long their differences", async () => {
  for (let bits = 0n; bits < 63n; bits++) {
    for (const timestampDelta of [2n ** bits - 1n, 2n ** bits, -(2n ** bits), -(2n ** bits) - 1n]) {
      const first = record(0, [], null, { timestampDelta, key: Buffer.from("key") });
      const both = await batch(7, [first, record(1, [], Buffer.from("value"))]);
      assert.deepEqual(await decode(both), await unmended(both), String(timestampDelta));
    }
  }
});

for (const [kind, codec] of Object.entries({ NONE, GZIP, SNAPPY, LZ4, ZSTD })) {
  test(`what is kept of a record holds 16 KiB at most, or its own size: ${kind}`, async () => {
    const header: Pair = ["h", Buffer.from("header")];
    const values = Array.from({ length: 600 }, (_, index) =>
      Buffer.alloc(index === 300 ? 50_000 : 200, index),
    );
    const records = values.map((value, index) => record(index, [header], value, { key: Buffer.from("key") }));
    const messages = await decode(await batch(0, records, codec));
    assert.deepEqual(
      messages.map(({ value }) => value),
      values,
    );
    const slabs = new Set<ArrayBufferLike>();
    for (const { key, value, headers } of messages) {
      const [slab, ...others] = new Set([key, value, headers.h as Buffer].map((part) => part?.buffer));
      assert.deepEqual(others, []);
      if (slab === undefined) assert.fail("no bytes");
      slabs.add(slab);
      assert.ok(
        slab.byteLength <= Math.max(16 * 1024, 100 + (value?.length ?? 0)),
        `${slab.byteLength} bytes`,
      );
    }
    const held = [...slabs].reduce((sum, { byteLength }) => sum + byteLength, 0);
    const stored = records.reduce((sum, { length }) => sum + length, 0);
    assert.ok(held < stored * 1.2, `${held} bytes for ${stored}`);
  });
}

test("what kafkajs itself decodes doesn't hold the fetch either", async () => {
  const large = record(0, [["h", Buffer.from("header")]], Buffer.alloc(100_000), {
    timestampDelta: 2n ** 60n,
  });
  const small = record(1, [["h", Buffer.from("header")]], Buffer.from("value"), { key: Buffer.from("key") });
  const [, message] = await decode(await batch(0, [large, small]));
  assert.deepEqual(message?.value, Buffer.from("value"));
  for (const part of [message?.key, message?.value, message?.headers.h]) {
    assert.ok(Buffer.isBuffer(part) && part.buffer.byteLength < 20_000);
  }
});
