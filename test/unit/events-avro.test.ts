import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import avsc from "avsc";
import { compileAvro } from "../../src/events/avro.ts";
import { createDecoder } from "../../src/events/decode.ts";
import type { Decoded } from "../../src/events/event.ts";

type Schema = avsc.Schema;

/** Written with the schema by avsc, and read by the relay, which knows of it what a registry does. */
const roundTrip = (schema: Schema, value: unknown): Decoded =>
  read(schema, avsc.Type.forSchema(schema).toBuffer(value));

function read(schema: Schema, payload: Buffer): Decoded {
  const decode = compileAvro(JSON.stringify(schema), []);
  const decodeRecord = createDecoder({
    normalization: { defaultRegion: "US", regionBySource: {} },
    schemas: { get: () => ({ decode }), load: async () => {}, close: () => {} },
  });
  const decoded = decodeRecord({ value: Buffer.concat([Buffer.from([0, 0, 0, 0, 1]), payload]) });
  assert.ok("ok" in decoded);
  return decoded;
}

const wish = (type: Schema, more: { name: string; type: Schema }[] = []): Schema => ({
  type: "record",
  name: "Wish",
  fields: [{ name: "phone", type }, ...more],
});

const phoneOf = (decoded: Decoded): string => (decoded.ok ? decoded.event.phone : decoded.reason);

test("a phone is text or a whole number of any Avro type, bare or in a union", () => {
  for (const [type, phone] of [
    ["string", "(212) 555-0123"],
    ["long", 12125550123],
    ["int", 2125550123 % 2 ** 31],
    ["double", 12125550123],
    [["null", "string"], "+12125550123"],
    [["null", "long", "string"], "+12125550123"],
    [["int", "long"], { long: 12125550123 }],
  ] as [Schema, unknown][]) {
    assert.equal(phoneOf(roundTrip(wish(type), { phone })), "+12125550123", JSON.stringify(type));
  }
});

test("a phone that is a fraction, a boolean, bytes, a map or a record is invalid, even if it holds one phone", () => {
  const inner: Schema = { type: "record", name: "Phone", fields: [{ name: "number", type: "string" }] };
  for (const [type, phone] of [
    ["double", 2125550123.5],
    ["boolean", true],
    ["bytes", Buffer.from("+12125550123")],
    [{ type: "fixed", name: "Digits", size: 12 }, Buffer.from("+12125550123")],
    [{ type: "map", values: "string" }, { home: "+12125550123" }],
    [{ type: "array", items: "string" }, ["+12125550123"]],
    [inner, { number: "+12125550123" }],
    [["null", inner], { number: "+12125550123" }],
  ] as [Schema, unknown][]) {
    const decoded = roundTrip(wish(type), { phone });
    assert.equal(phoneOf(decoded), "invalid_phone", JSON.stringify(type));
  }
});

test("of a union of records, the one that was written is read", () => {
  const other: Schema = { type: "record", name: "Other", fields: [{ name: "x", type: "int" }] };
  const union: Schema = [other, wish(["int", "long"])] as Schema;
  assert.equal(phoneOf(roundTrip(union, { Wish: { phone: { long: 12125550123 } } })), "+12125550123");
  const decoded = roundTrip(union, { Other: { x: 1 } });
  assert.equal(phoneOf(decoded), "missing_phone");
});

test("a record of another schema has no phone, and a value that is no record is undecodable", () => {
  const order: Schema = { type: "record", name: "Order", fields: [{ name: "total", type: "int" }] };
  const decoded = roundTrip(order, { total: 1 });
  assert.ok(!decoded.ok && decoded.reason === "missing_phone");
  assert.match(decoded.detail, /schema id 1\)$/);
  assert.equal(phoneOf(roundTrip("string", "+12125550123")), "undecodable");
  assert.equal(
    phoneOf(roundTrip({ type: "map", values: "string" }, { phone: "+12125550123" })),
    "+12125550123",
  );
});

test("an enum says opt-out in any usual spelling or says nothing, and its opt-in never becomes an opt-out", () => {
  const phone = "+12125550123";
  for (const [name, symbol, expected] of [
    ["Action", "opt_out", phone],
    ["Action", "OPT_OUT", phone],
    ["ns.Action", "ACTION_OPT_OUT", phone],
    ["PhoneAction", "PHONE_ACTION_OPT_OUT", phone],
    ["Opt", "OPT_OUT", phone],
    ["Opt", "OPT_IN", "unsupported_action"],
    ["OptOut", "OPT_OUT_OPT_IN", "unsupported_action"],
    ["Action", "OptOut", phone],
    ["Action", "UNKNOWN", phone],
    ["Action", "ACTION_UNSPECIFIED", phone],
    ["OptInStatus", "OPT_IN_STATUS_UNSPECIFIED", phone],
    ["Action", "OPT_IN_UNSPECIFIED", "unsupported_action"],
    ["Action", "OPT_IN_UNKNOWN", "unsupported_action"],
    ["Action", "RESUBSCRIBE_DEFAULT", "unsupported_action"],
    ["Action", "opt_in", "unsupported_action"],
    ["Action", "OPT_IN", "unsupported_action"],
    ["Action", "NOT_OPT_OUT", "unsupported_action"],
  ] as const) {
    const action: Schema = { type: "enum", name, symbols: [symbol] };
    for (const [type, value] of [
      [action, symbol],
      [["null", action], symbol],
      [["null", "string", action], { [name]: symbol }],
    ] as [Schema, unknown][]) {
      const decoded = roundTrip(wish("string", [{ name: "action", type }]), { phone, action: value });
      assert.equal(phoneOf(decoded), expected, symbol);
    }
  }
  const text = wish("string", [{ name: "action", type: "string" }]);
  assert.equal(phoneOf(roundTrip(text, { phone, action: "OPT_OUT" })), "unsupported_action");
});

test("an enum's region that says nothing is none", () => {
  const region: Schema = { type: "enum", name: "Region", symbols: ["REGION_UNKNOWN", "GB"] };
  const schema = wish("string", [{ name: "region", type: region }]);
  assert.equal(phoneOf(roundTrip(schema, { phone: "2125550123", region: "REGION_UNKNOWN" })), "+12125550123");
  assert.equal(phoneOf(roundTrip(schema, { phone: "020 7946 0958", region: "GB" })), "+442079460958");
});

test("a record that may be null is read like one that mayn't", () => {
  const schema = ["null", wish(["null", "int", "long"])] as Schema;
  const wrapped = { phone: { long: 12125550123 } };
  assert.equal(phoneOf(roundTrip(schema, wrapped)), "+12125550123");
  assert.equal(phoneOf(roundTrip(schema, null)), "undecodable");
});

/** Zig-zag varints. */
const long = (value: bigint): Buffer => {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
};

test("a long of any size is read as it was written, and loses nothing else of the record", () => {
  const type: Schema = wish("string", [{ name: "eventId", type: "long" }]);
  const nanos: Schema = wish("string", [
    { name: "eventId", type: { type: "long", logicalType: "timestamp-nanos" } },
  ]);
  const optional: Schema = wish("string", [{ name: "eventId", type: ["null", "int", "long"] }]);
  const text = Buffer.concat([long(12n), Buffer.from("+12125550123")]);
  for (const value of [
    0n,
    1n,
    63n,
    1n << 31n,
    1n << 48n,
    1n << 52n,
    1n << 53n,
    (1n << 60n) + 1n,
    (1n << 63n) - 1n,
  ]) {
    for (const each of [value, -value, -value - 1n]) {
      for (const [schema, branch] of [
        [type, []],
        [nanos, []],
        [optional, long(2n)],
      ] as const) {
        const decoded = read(schema, Buffer.concat([text, Buffer.from(branch), long(each)]));
        assert.ok(decoded.ok, String(each));
        assert.deepEqual([decoded.event.phone, decoded.event.eventId], ["+12125550123", String(each)]);
      }
    }
  }
  assert.equal(
    phoneOf(read(type, Buffer.concat([text, Buffer.alloc(10, 0x80), Buffer.alloc(1)]))),
    "undecodable",
  );
  assert.equal(phoneOf(read(wish("long"), long((1n << 60n) + 1n))), "invalid_phone");
  const withDefault = {
    type: "record",
    name: "W",
    fields: [{ name: "id", type: "long", default: 5 }],
  } as Schema;
  assert.deepEqual(compileAvro(JSON.stringify(withDefault), [])(long(7n)), { id: 7 });
});

const COUNTS = [2_000n, 1n << 31n, 1n << 50n, (1n << 63n) - 1n, -(1n << 31n), -(1n << 63n)];

test("an array or a map that claims more items than there are bytes is undecodable, at once and in little memory", () => {
  const record = Buffer.from("000000000200000000000000000000000080d0acf30e", "hex");
  const status: Schema = JSON.parse(readFileSync("schemas/opt-out-status.avsc", "utf8"));
  assert.equal(phoneOf(read(status, record.subarray(5))), "undecodable");
  const wide: Schema = { type: "record", name: "Nothing", fields: [{ name: "n", type: "null" }] };
  for (const count of COUNTS) {
    const block = count < 0n ? Buffer.concat([long(count), long(8n)]) : long(count);
    for (const tags of [
      { type: "array", items: "string" },
      { type: "array", items: "null" },
      { type: "array", items: wide },
      { type: "array", items: { type: "array", items: "null" } },
      { type: "map", values: "null" },
      { type: "map", values: "long" },
      ["null", { type: "array", items: "int" }],
    ] as Schema[]) {
      const schema = wish("string", [{ name: "tags", type: tags }]);
      const branch = Array.isArray(tags) ? long(1n) : Buffer.alloc(0);
      const payload = Buffer.concat([long(12n), Buffer.from("+12125550123"), branch, block]);
      assert.equal(phoneOf(read(schema, payload)), "undecodable", `${count} ${JSON.stringify(tags)}`);
      // Numbers of bytes that are no numbers: sums with them never pass the end.
      const endless = Buffer.concat([payload, Buffer.alloc(2_000, 0xff), Buffer.alloc(1)]);
      assert.equal(phoneOf(read(schema, endless)), "undecodable");
    }
  }
});

test("nulls in an array take no bytes: a thousand are read, and no more in one record", () => {
  const nulls: Schema = wish("string", [
    { name: "tags", type: { type: "array", items: { type: "array", items: "null" } } },
  ]);
  const phone = "+12125550123";
  const tags = (...counts: number[]) => counts.map((count) => Array.from({ length: count }, () => null));
  assert.equal(phoneOf(roundTrip(nulls, { phone, tags: tags(1_000) })), phone);
  assert.equal(phoneOf(roundTrip(nulls, { phone, tags: tags(500, 500) })), phone);
  assert.equal(phoneOf(roundTrip(nulls, { phone, tags: tags(1_001) })), "undecodable");
  assert.equal(phoneOf(roundTrip(nulls, { phone, tags: tags(500, 501) })), "undecodable");
});

test("arrays and maps come out as they were written, in blocks with and without a size, and whatever the keys", () => {
  const schema = {
    type: "record",
    name: "All",
    fields: [
      { name: "tags", type: { type: "array", items: "string" } },
      { name: "counts", type: { type: "map", values: ["null", "long"] } },
    ],
  } as Schema;
  const decode = compileAvro(JSON.stringify(schema), []);
  const counts = Object.fromEntries([
    ["a", 1],
    ["b", null],
    ["__proto__", 2],
  ]);
  const value = { tags: ["x", "", "y"], counts };
  assert.deepEqual(decode(avsc.Type.forSchema(schema).toBuffer(value)), value);
  const text = (each: string): Buffer => Buffer.concat([long(BigInt(each.length)), Buffer.from(each)]);
  const blocks = Buffer.concat([long(1n), text("x"), long(-2n), long(3n), text(""), text("y"), long(0n)]);
  assert.deepEqual(decode(Buffer.concat([blocks, long(0n)])), { tags: ["x", "", "y"], counts: {} });
});

test("a payload cut short or too long doesn't fit, and a broken schema can't be compiled", () => {
  const rich = wish("string", [
    { name: "at", type: "long" },
    { name: "tags", type: { type: "array", items: ["null", "string", "long"] } },
    { name: "more", type: { type: "map", values: { type: "array", items: "double" } } },
    { name: "id", type: "long" },
  ]);
  const more = { at: 2 ** 52, tags: [null, "x", 7], more: { a: [1], b: [] }, id: -1 };
  for (const schema of [wish("string"), rich]) {
    const decode = compileAvro(JSON.stringify(schema), []);
    const payload = avsc.Type.forSchema(schema).toBuffer({ phone: "+12125550123", ...more });
    assert.ok(decode(payload));
    for (let length = 0; length < payload.length; length += 1) {
      assert.throws(() => decode(payload.subarray(0, length)), `${length} bytes`);
    }
    assert.throws(() => decode(Buffer.concat([payload, Buffer.alloc(1)])));
  }
  for (const schema of ["", "{", '{"type":"nonsense"}', '"Elsewhere"']) {
    assert.throws(() => compileAvro(schema, []));
  }
});
