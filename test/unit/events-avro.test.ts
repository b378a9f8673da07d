import assert from "node:assert/strict";
import { test } from "node:test";
import avsc from "avsc";
import { compileAvro } from "../../src/events/avro.ts";
import { createDecoder } from "../../src/events/decode.ts";
import type { Decoded } from "../../src/events/event.ts";

type Schema = avsc.Schema;

/** Written with the schema by avsc, and read by the relay, which knows of it what a registry does. */
function roundTrip(schema: Schema, value: unknown): Decoded {
  const decode = compileAvro(JSON.stringify(schema), []);
  const decodeRecord = createDecoder({
    normalization: { defaultRegion: "US", regionBySource: {} },
    schemas: { get: () => ({ decode }), load: async () => {}, close: () => {} },
  });
  const payload = avsc.Type.forSchema(schema).toBuffer(value);
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

test("an enum's opt-in never becomes an opt-out", () => {
  const action: Schema = { type: "enum", name: "Action", symbols: ["opt_out", "opt_in"] };
  const schema = wish("string", [{ name: "action", type: action }]);
  assert.equal(phoneOf(roundTrip(schema, { phone: "+12125550123", action: "opt_out" })), "+12125550123");
  assert.equal(phoneOf(roundTrip(schema, { phone: "+12125550123", action: "opt_in" })), "unsupported_action");
});

test("a payload cut short or too long doesn't fit, and a broken schema can't be compiled", () => {
  const decode = compileAvro(JSON.stringify(wish("string")), []);
  const payload = avsc.Type.forSchema(wish("string")).toBuffer({ phone: "+12125550123" });
  for (let length = 0; length < payload.length; length += 1) {
    assert.throws(() => decode(payload.subarray(0, length)));
  }
  assert.throws(() => decode(Buffer.concat([payload, Buffer.alloc(1)])));
  for (const schema of ["", "{", '{"type":"nonsense"}', '"Elsewhere"']) {
    assert.throws(() => compileAvro(schema, []));
  }
});
