import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Message } from "kafkajs";
import produce, { type ProduceArguments } from "kafkajs/src/protocol/requests/produce/index.js";
import { crc32c, createChecksum, repeatedPiece } from "../../src/kafka/crc32c.ts";
import { CommonEnd, type OutgoingRecord, TextWithEnd } from "../../src/kafka/outgoing.ts";
import { carrierOf, encodeProduce, mendProducing } from "../../src/kafka/produce-request.ts";

const require = createRequire(import.meta.url);
/** kafkajs' own way, of which the bytes are to be the same. */
const requestOf: (given: ProduceArguments) => { encode(): Promise<{ buffer: Buffer }> } =
  require("kafkajs/src/protocol/requests/produce/v3/request.js");
const slowCrc32c: (bytes: Buffer) => number = require("kafkajs/src/protocol/recordBatch/crc32C/crc32C.js");

const NOW = 1_795_712_423_315;
const part = fc.oneof(
  fc.constant(null),
  fc.string({ unit: "grapheme" }),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  // One that takes a longer length.
  fc.constant(Buffer.alloc(20_000, 7)),
);
const header = fc.oneof(fc.string(), fc.constant(Buffer.from([0, 255])));
const message: fc.Arbitrary<Message> = fc.record(
  {
    key: part,
    value: part,
    headers: fc.dictionary(fc.string({ unit: "grapheme" }), fc.oneof(header, fc.array(header))),
    // kafkajs sorts times as texts, so these have equally many digits.
    timestamp: fc.integer({ min: NOW - 1e9, max: NOW + 1e9 }).map(String),
  },
  { requiredKeys: ["value"] },
);
const given: fc.Arbitrary<ProduceArguments> = fc.record({
  acks: fc.constantFrom(-1, 1),
  timeout: fc.nat(),
  topicData: fc.array(
    fc.record({
      topic: fc.string({ minLength: 1 }),
      partitions: fc.array(
        fc.record({ partition: fc.nat(100), messages: fc.array(message, { minLength: 1, maxLength: 150 }) }),
        { maxLength: 3 },
      ),
    }),
    { maxLength: 3 },
  ),
});

const own = (acks: number, messages: Message[]): ProduceArguments => ({
  ...{ acks, timeout: 1_000 },
  topicData: [{ topic: "status", partitions: [{ partition: 0, messages }] }],
});

describe("a Produce request", () => {
  test("has the bytes that kafkajs gives it, whatever is in it", async (context) => {
    context.mock.method(Date, "now", () => NOW);
    await fc.assert(
      fc.asyncProperty(given, async (each) => {
        const { buffer } = await requestOf(each).encode();
        assert.deepEqual(encodeProduce(each, NOW)?.toString("hex"), buffer.toString("hex"));
      }),
    );
  });

  test("has the earliest and latest time of its records, however many digits they have", () => {
    const body = encodeProduce(
      own(-1, [
        { value: "a", timestamp: "10000" },
        { value: "b", timestamp: "999" },
      ]),
    );
    const head = body?.indexOf(Buffer.from([2])) ?? 0;
    assert.equal(body?.readBigInt64BE(head + 11), 999n);
    assert.equal(body?.readBigInt64BE(head + 19), 10_000n);
  });

  test("takes the short way for the producers that the product has", async () => {
    mendProducing();
    const each = { ...own(-1, [{ value: "a", timestamp: String(NOW) }]), producerId: -1 };
    const { buf, buffer } = await produce.protocol({ version: 7 })(each).request.encode();
    assert.equal(buf.length, buffer.length, "kafkajs' own has room to spare");
    assert.deepEqual(buffer, (await requestOf(each).encode()).buffer);
  });

  test("is left to kafkajs if its times are too large, it is compressed, or of a transaction", async () => {
    const messages = [{ value: "a", timestamp: String(8.64e15) }];
    assert.equal(encodeProduce(own(-1, messages)), undefined);
    const parted = { ...messages[0], value: new TextWithEnd(Buffer.from("a"), 0, 0, new CommonEnd("a")) };
    mendProducing();
    const build = produce.protocol({ version: 7 });
    const { request } = build(own(-1, messages));
    assert.deepEqual(
      (await request.encode()).buffer,
      (await requestOf(own(-1, messages)).encode()).buffer,
      "by kafkajs",
    );
    assert.deepEqual(
      (await build(own(-1, [carrierOf(0, [parted])])).request.encode()).buffer,
      (await requestOf(own(-1, messages)).encode()).buffer,
      "by kafkajs, of what it never sees otherwise",
    );
    for (const more of [{ compression: 1 }, { transactionalId: "t", producerId: "4" }]) {
      const all = { ...own(-1, [{ value: "a" }]), ...more };
      const theirs = (await requestOf(all).encode()).buffer;
      assert.equal((await build(all).request.encode()).buffer.length, theirs.length);
    }
    assert.equal(build(own(-1, messages)).request.apiVersion, 7);
  });

  test("has the same bytes whoever grouped its records by partition, and wherever their values' ends are kept", async () => {
    const end = new CommonEnd(',"said":"thé end"}');
    const records = fc.array(fc.tuple(message, fc.string({ unit: "grapheme" }), fc.boolean()), {
      minLength: 1,
    });
    await fc.assert(
      fc.asyncProperty(records, async (drawn) => {
        const whole = drawn.map(([each, start, ends]) =>
          ends ? { ...each, value: start + end.text } : each,
        );
        const parted = drawn.map(([each, start, ends]): OutgoingRecord => {
          const buffer = Buffer.from(`before${start}after`);
          const value = new TextWithEnd(buffer, "before".length, buffer.length - "after".length, end);
          return ends ? { ...each, value } : each;
        });
        const expected = encodeProduce(own(-1, whole), NOW);
        for (const messages of [
          [carrierOf(0, parted)],
          [carrierOf(0, parted.slice(0, 1)), carrierOf(0, parted.slice(1))],
        ]) {
          assert.deepEqual(encodeProduce(own(-1, messages), NOW)?.toString("hex"), expected?.toString("hex"));
        }
      }),
    );
  });

  test("is framed as kafkajs frames it, though nothing is copied for it", async () => {
    mendProducing();
    const createRequest: (
      of: object,
    ) => Promise<{ buffer: Buffer }> = require("kafkajs/src/protocol/request.js");
    const each = { ...own(-1, [carrierOf(0, [{ value: "a", timestamp: String(NOW) }])]), producerId: -1 };
    for (const clientId of ["relay", "x".repeat(2_000)]) {
      const { request } = produce.protocol({ version: 7 })(each);
      const { buffer } = await createRequest({ correlationId: 7, clientId, request });
      const body = encodeProduce(each, NOW) ?? Buffer.alloc(0);
      const header = Buffer.alloc(2 + 2 + 4 + 2);
      header.writeInt16BE(0, 0);
      header.writeInt16BE(request.apiVersion, 2);
      header.writeInt32BE(7, 4);
      header.writeInt16BE(clientId.length, 8);
      const rest = Buffer.concat([header, Buffer.from(clientId), body]);
      const length = Buffer.alloc(4);
      length.writeInt32BE(rest.length);
      assert.deepEqual(buffer, Buffer.concat([length, rest]));
    }
  });

  test("checksums of what is written piece by piece are those of the whole", () => {
    const bytes = fc.uint8Array({ maxLength: 60 }).map((each) => Buffer.from(each));
    const pieces = fc.array(fc.record({ bytes, repeated: fc.boolean() }));
    fc.assert(
      fc.property(pieces, (drawn) => {
        const checksum = createChecksum();
        for (const { bytes: each, repeated } of drawn) {
          if (repeated) checksum.addRepeated(repeatedPiece(each));
          else checksum.add(Buffer.concat([Buffer.from("x"), each, Buffer.from("y")]), 1, 1 + each.length);
        }
        assert.equal(checksum.value(), crc32c(Buffer.concat(drawn.map((each) => each.bytes))));
      }),
    );
  });

  test("checksums are CRC-32C, at any length", () => {
    assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        (bytes) => crc32c(bytes) === slowCrc32c(Buffer.from(bytes)),
      ),
    );
  });
});
