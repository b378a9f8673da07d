import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import protobuf from "protobufjs";
import descriptors from "protobufjs/ext/descriptor/index.js";
import { createDecoder } from "../../src/events/decode.ts";
import type { Decoded } from "../../src/events/event.ts";
import { compileProtobuf } from "../../src/events/protobuf.ts";
import { WISH_DESCRIPTOR } from "../support/proto-descriptor.ts";

const phone = "+12125550123";

/** Zig-zag varints, as Confluent's serializers write the place of a message. */
function place(...numbers: number[]): Buffer {
  const writer = protobuf.Writer.create();
  for (const number of numbers) writer.sint32(number);
  return Buffer.from(writer.finish());
}

const text = (field: number, value: string): Buffer =>
  Buffer.from(
    protobuf.Writer.create()
      .uint32((field << 3) | 2)
      .string(value)
      .finish(),
  );

function decodeWith(schema: string, payload: Buffer, references: string[] = []): Decoded {
  const decode = compileProtobuf(schema, references);
  const decodeRecord = createDecoder({
    normalization: { defaultRegion: "US", regionBySource: {} },
    schemas: { get: () => ({ decode }), load: async () => {}, close: () => {} },
  });
  const decoded = decodeRecord({ value: Buffer.concat([Buffer.from([0, 0, 0, 0, 1]), payload]) });
  assert.ok("ok" in decoded);
  return decoded;
}

const outcome = (decoded: Decoded): string => (decoded.ok ? decoded.event.phone : decoded.reason);

/** Which message is read is told by the field's number that the phone is in. */
const FILE = `
  syntax = "proto3";
  package example.optout;
  enum Kind { ZERO = 0; }
  message First { string phone = 1; }
  message Second {
    enum Other { NONE = 0; }
    message Inner { string phone = 3; message Deep { string phone = 4; message Deeper { string phone = 5; } } }
    message Sibling { string phone = 6; }
    string phone = 2;
  }`;

test("the message is the one at the place that the payload begins with", () => {
  for (const [numbers, field] of [
    [[0], 1],
    [[1, 0], 1],
    [[1, 1], 2],
    [[2, 1, 0], 3],
    [[2, 1, 1], 6],
    [[3, 1, 0, 0], 4],
    [[4, 1, 0, 0, 0], 5],
  ] as [number[], number][]) {
    for (let other = 1; other <= 6; other += 1) {
      const decoded = decodeWith(FILE, Buffer.concat([place(...numbers), text(other, phone)]));
      assert.equal(outcome(decoded), other === field ? phone : "missing_phone", `${numbers}: ${other}`);
    }
  }
});

test("without a place, as the library of kafkajs writes it, it is the first message", () => {
  assert.equal(outcome(decodeWith(FILE, text(1, phone))), phone);
  assert.equal(outcome(decodeWith(FILE, text(2, phone))), "missing_phone");
});

test("a place where no message is, and a payload cut short, are undecodable", () => {
  for (const payload of [
    place(1, 2),
    place(1, -1),
    place(2, 0, 0),
    place(-1),
    place(1),
    place(2, 1),
    Buffer.alloc(0),
    ...Array.from({ length: 13 }, (_, at) => Buffer.concat([place(0), text(1, phone).subarray(0, at + 1)])),
    Buffer.from([0x80]),
    Buffer.concat([place(3, 0, 0, 0), text(1, phone)]),
  ]) {
    assert.equal(outcome(decodeWith(FILE, payload)), "undecodable", payload.toString("hex"));
  }
});

test("names in snake case, 64-bit numbers, timestamps, wrappers and imports are read", () => {
  const shared = 'syntax = "proto3"; package shared; message Region { string code = 1; }';
  const schema = `
    syntax = "proto3";
    package example;
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    import "shared.proto";
    message Wish {
      google.protobuf.Int64Value phone = 1;
      google.protobuf.StringValue event_id = 2;
      google.protobuf.Timestamp occurred_at = 3;
      int64 expires_at = 4;
      optional string source = 5;
      shared.Region unknown = 6;
    }`;
  const writer = protobuf.Writer.create().uint32(10).fork().uint32(8).int64(12125550123).ldelim();
  writer.uint32(18).fork().uint32(10).string("e-1").ldelim();
  writer
    .uint32(26)
    .fork()
    .uint32(8)
    .int64(Date.UTC(2030, 0, 1) / 1000)
    .uint32(16)
    .int32(5e8)
    .ldelim();
  writer.uint32(32).int64(Date.UTC(2035, 0, 1));
  writer.uint32(42).string("kiosk").uint32(50).fork().uint32(10).string("US").ldelim();
  const decoded = decodeWith(schema, Buffer.concat([place(0), writer.finish()]), [shared]);
  assert.deepEqual(decoded, {
    ok: true,
    event: {
      phone,
      type: "dncl_expiration",
      expiresAt: "2035-01-01T00:00:00.000Z",
      source: "kiosk",
      eventId: "e-1",
      occurredAt: "2030-01-01T00:00:00.500Z",
    },
  });
  assert.throws(() => compileProtobuf(schema, []), /no such Type/);
});

test("a file may be a descriptor in base64; the entries of its maps are no messages that have a place", () => {
  const optOut = Buffer.from([56, 1]);
  const seconds = protobuf.Writer.create()
    .uint32(42)
    .fork()
    .uint32(8)
    .int64(Date.UTC(2030, 0, 1) / 1000);
  const fields = Buffer.concat([text(3, phone), text(4, "e-1"), seconds.ldelim().finish()]);
  const decoded = decodeWith(WISH_DESCRIPTOR, Buffer.concat([place(2, 0, 0), fields, optOut]));
  assert.deepEqual(decoded, {
    ok: true,
    event: {
      phone,
      type: "dncl",
      expiresAt: null,
      source: "unknown",
      eventId: "e-1",
      occurredAt: "2030-01-01T00:00:00.000Z",
    },
  });
  assert.equal(
    outcome(decodeWith(WISH_DESCRIPTOR, Buffer.concat([place(2, 0, 0), fields]))),
    "unsupported_action",
  );
  assert.equal(
    outcome(decodeWith(WISH_DESCRIPTOR, Buffer.concat([place(2, 0, 1), fields, optOut]))),
    "undecodable",
  );
  const labels = Buffer.from([10, 6, 10, 1, 97, 18, 1, 98]);
  assert.deepEqual(compileProtobuf(WISH_DESCRIPTOR, [])(Buffer.concat([place(0), labels])), {
    labels: [{ key: "a", value: "b" }],
  });
  const importing =
    'syntax = "proto3"; message Own { example.wishes.Wish.Inner inner = 1; string phone = 2; }';
  assert.equal(
    outcome(decodeWith(importing, Buffer.concat([place(0), text(2, phone)]), [WISH_DESCRIPTOR])),
    phone,
  );
});

test("bytes, messages, repeated and negative phones are invalid, and nothing is taken for text", () => {
  const negative = protobuf.Writer.create().uint32(8).int64(-12125550123).finish();
  const huge = protobuf.Writer.create().uint32(8).uint64("18446744073709551615");
  for (const [type, payload] of [
    ["bytes", text(1, phone)],
    ["repeated string", text(1, phone)],
    ["Inner", Buffer.concat([Buffer.from([10, 14]), text(1, phone)])],
    ["int64", Buffer.from(negative)],
    ["uint64", Buffer.from(huge.finish())],
    ["bool", Buffer.from([8, 1])],
    ["double", Buffer.from(protobuf.Writer.create().uint32(9).double(2125550123.5).finish())],
  ] as const) {
    const schema = `syntax = "proto3"; message Wish { ${type} phone = 1; } message Inner { string phone = 1; }`;
    assert.equal(outcome(decodeWith(schema, Buffer.concat([place(0), payload]))), "invalid_phone", type);
  }
});

test("an enum's opt-in never becomes an opt-out, not even as the first value, which isn't sent", () => {
  const schema = (values: string, label = ""): string =>
    `syntax = "proto3"; enum Action { ${values} } message Wish { string phone = 1; ${label} Action action = 2; }`;
  const one = Buffer.from([16, 1]);
  for (const [values, sent, expected] of [
    ["opt_in = 0; opt_out = 1;", Buffer.alloc(0), "unsupported_action"],
    ["opt_in = 0; opt_out = 1;", one, phone],
    ["opt_out = 0; opt_in = 1;", Buffer.alloc(0), phone],
    ["opt_out = 0; opt_in = 1;", one, "unsupported_action"],
    ["ACTION_UNSPECIFIED = 0; opt_in = 1;", Buffer.alloc(0), phone],
    ["ACTION_UNSPECIFIED = 0; opt_in = 1;", one, "unsupported_action"],
    ["UNKNOWN = 0; ACTION_OPT_OUT = 1;", Buffer.alloc(0), phone],
    ["ACTION_UNKNOWN = 0; ACTION_OPT_OUT = 1;", Buffer.alloc(0), phone],
    ["UNKNOWN = 0; ACTION_OPT_OUT = 1;", one, phone],
    ["OPT_OUT = 0; OPT_IN = 1;", Buffer.alloc(0), phone],
    ["OPT_OUT = 0; OPT_IN = 1;", one, "unsupported_action"],
    ["OPT_IN_UNSPECIFIED = 0; OPT_OUT = 1;", Buffer.alloc(0), "unsupported_action"],
    ["OPT_IN_UNKNOWN = 0; OPT_OUT = 1;", Buffer.alloc(0), "unsupported_action"],
    ["ACTION_OPT_IN = 0; ACTION_OPT_OUT = 1;", Buffer.alloc(0), "unsupported_action"],
    ["RESUBSCRIBE = 0; ACTION_OPT_OUT = 1;", Buffer.alloc(0), "unsupported_action"],
    ["OPT_OUT = 0; OPT_IN = 2;", one, "unsupported_action"],
  ] as const) {
    const payload = Buffer.concat([place(0), text(1, phone), sent]);
    assert.equal(outcome(decodeWith(schema(values), payload)), expected, values);
  }
  const told = decodeWith(
    schema("opt_in = 0; opt_out = 1;", "optional"),
    Buffer.concat([place(0), text(1, phone)]),
  );
  assert.equal(outcome(told), phone);
});

test("an enum's region that isn't set, or says nothing, is none", () => {
  const schema = (first: string): string =>
    `syntax = "proto3"; enum Region { ${first} = 0; GB = 1; } message Wish { string phone = 1; Region region = 2; }`;
  const wish = (national: string, ...sent: number[]): Buffer =>
    Buffer.concat([place(0), text(1, national), Buffer.from(sent)]);
  for (const first of ["REGION_UNKNOWN", "UNSPECIFIED", "REGION_NONE", "NOT_SET"]) {
    assert.equal(outcome(decodeWith(schema(first), wish("(212) 555-0123"))), phone, first);
    assert.equal(outcome(decodeWith(schema(first), wish("020 7946 0958", 16, 1))), "+442079460958");
  }
});

test("a file of more statements than any has can't be compiled, be it text, a descriptor or one that is imported", () => {
  const fields = (count: number): string =>
    Array.from({ length: count }, (_, at) => `string f${at + 1} = ${at + 2};`).join(" ");
  const file = (count: number): string =>
    `syntax = "proto3"; message Wish { string phone = 1; ${fields(count)} }`;
  assert.equal(outcome(decodeWith(file(1_000), Buffer.concat([place(0), text(1, phone)]))), phone);
  assert.throws(() => compileProtobuf(file(2_000), []), /too many statements/);
  assert.throws(() => compileProtobuf(file(1), [file(2_000)]), /too many statements/);
  const messages = Array.from({ length: 2_000 }, (_, at) => `message M${at} {}`).join("\n");
  assert.throws(() => compileProtobuf(messages, []), /too many statements/);
  for (const [many, usable] of [
    [{ name: "Wish", field: declarations(1_900, { label: 1, type: 9 }) }, true],
    [{ name: "Wish", field: declarations(2_000, { label: 1, type: 9 }) }, false],
    [{ name: "Wish", enumType: [{ name: "E", value: declarations(2_000) }] }, false],
    [
      { name: "Wish", nestedType: [{ name: "In", field: declarations(2_000, { label: 1, type: 9 }) }] },
      false,
    ],
  ] as const) {
    const descriptor = { name: "w.proto", syntax: "proto3", messageType: [many] };
    const bytes = descriptors.FileDescriptorProto.encode(
      descriptors.FileDescriptorProto.fromObject(descriptor),
    ).finish();
    const compile = () => compileProtobuf(Buffer.from(bytes).toString("base64"), []);
    if (usable) assert.ok(compile());
    else assert.throws(compile, /too many statements/);
  }
});

const declarations = (count: number, more: object = {}): object[] =>
  Array.from({ length: count }, (_, at) => ({ name: `n${at}`, number: at + 1, ...more }));

test("a file without a message, or that isn't one, can't be compiled", () => {
  for (const schema of [
    "",
    'syntax = "proto3"; enum E { A = 0; }',
    "{",
    "message",
    "message A { Missing x = 1; }",
    'message A {} option a = "\\"',
  ]) {
    assert.throws(() => compileProtobuf(schema, []), schema);
  }
});

/** The number that a varint from `start` to `end` holds; undefined if there is none. It may be longer than need be. */
function varintAt(bytes: Buffer, start: number, end: number): number | undefined {
  const parts = [...bytes.subarray(start, end)];
  const isOne = parts.every((byte, index) => byte >= 0x80 === index < parts.length - 1);
  return isOne ? parts.reduce((sum, byte, index) => sum + (byte & 0x7f) * 128 ** index, 0) : undefined;
}

/** Whether the text is there with its length before it. */
function isWrittenIn(bytes: Buffer, text: string): boolean {
  const content = Buffer.from(text);
  for (let at = bytes.indexOf(content); at >= 0; at = bytes.indexOf(content, at + 1)) {
    for (let start = at - 1; start >= Math.max(0, at - 10); start--) {
      if (varintAt(bytes, start, at) === content.length) return true;
    }
    if (at >= bytes.length) return false;
  }
  return false;
}

test("no bytes are read as a phone that isn't in them, or make more than an error", () => {
  const decode = compileProtobuf(FILE, []);
  const anyBytes = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
  const field = fc.integer({ min: 1, max: 3 });
  const part = fc.oneof(
    fc.tuple(fc.nat(3), fc.nat(3)).map(([count, index]) => place(count, index)),
    fc.tuple(field, fc.string({ maxLength: 20 })).map(([number, value]) => text(number, value)),
    field.map((number) => text(number, phone)),
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
  );
  // Likely payloads, some cut short: a text that ends too early must not be read as what is left of it, or of another.
  const parts = fc.tuple(fc.array(part, { maxLength: 5 }), fc.nat(80)).map(([all, end]) => {
    const whole = Buffer.concat([place(0), ...all]);
    return end < 60 ? whole.subarray(0, end) : whole;
  });
  let phones = 0;
  fc.assert(
    fc.property(fc.oneof(anyBytes, parts), (bytes) => {
      let read: unknown;
      try {
        read = decode(bytes);
      } catch (error) {
        assert.ok(error instanceof Error);
        return;
      }
      assert.ok(typeof read === "object" && read !== null);
      if (!("phone" in read) || read.phone === undefined) return;
      assert.equal(typeof read.phone, "string");
      const given = String(read.phone);
      // What isn't UTF-8 becomes characters that no phone has.
      if (given.includes("\ufffd")) return;
      phones += 1;
      assert.ok(isWrittenIn(bytes, given), `${given} in ${bytes.toString("hex")}`);
    }),
    // What isn't UTF-8, and protobufjs by itself reads as other characters.
    { numRuns: 2_000, examples: [[Buffer.from([8, 3, 128, 0, 0])]] },
  );
  assert.ok(phones > 50, `${phones} phones read`);
});
