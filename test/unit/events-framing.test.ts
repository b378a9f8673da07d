import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { createDecoder } from "../../src/events/decode.ts";
import { REJECT_REASONS } from "../../src/events/event.ts";
import type { SchemaId } from "../../src/events/registry-client.ts";
import type { SchemaCache } from "../../src/events/schema-cache.ts";

const normalization = { defaultRegion: "US", regionBySource: {} };
const decodeRecord = createDecoder({ normalization, schemas: null });

const phone = "(212) 555-0123";

const frame = (id: number, payload = ""): Buffer => {
  const header = Buffer.alloc(5);
  header.writeInt32BE(id, 1);
  return Buffer.concat([header, Buffer.from(payload)]);
};

test("without a registry, a framed record says what to configure", () => {
  const undecodable = decodeRecord({ value: frame(7, "x") });
  assert.ok("reason" in undecodable);
  assert.equal(undecodable.reason, "undecodable");
  assert.match(undecodable.detail, /schema id 7\b.*set schemaRegistry\.url/);
});

function withSchemas(known: Record<SchemaId, ReturnType<SchemaCache["get"]>>) {
  const schemas: SchemaCache = { get: (id) => known[id], load: async () => {}, close: () => {} };
  return createDecoder({ normalization, schemas });
}

test("a framed record asks for its schema, is decoded with it, or says why not", () => {
  const decodeFramed = withSchemas({
    1: { decode: (payload) => ({ phone: payload.toString(), occurredAt: new Date(Date.UTC(2030, 0, 1)) }) },
    2: "unknown",
    3: "unusable",
    4: {
      decode: () => {
        throw new RangeError("truncated +12125550123");
      },
    },
    5: { decode: () => [] },
    6: { decode: () => ({ number: phone }) },
  });
  const decodeId = (id: number, payload = "") => decodeFramed({ value: frame(id, payload) });
  assert.deepEqual(decodeId(9), { schemaId: 9 });
  assert.deepEqual(decodeId(1, phone), {
    ok: true,
    event: {
      phone: "+12125550123",
      type: "dncl",
      expiresAt: null,
      source: "unknown",
      eventId: null,
      occurredAt: "2030-01-01T00:00:00.000Z",
    },
  });
  for (const [id, detail] of [
    [2, /schema id 2, which the schema registry does not know/],
    [3, /cannot be used/],
    [4, /payload does not fit/],
    [5, /not an object/],
    [6, /"phone" is missing, null or blank \(the record is in the Confluent wire format with schema id 6\)/],
    [0, /not a possible id/],
    [-1, /not a possible id/],
  ] as const) {
    const undecodable = decodeId(id);
    assert.ok("reason" in undecodable);
    const reason = id === 2 ? "unknown_schema" : id === 6 ? "missing_phone" : "undecodable";
    assert.equal(undecodable.reason, reason);
    assert.match(undecodable.detail, detail);
    assert.doesNotMatch(undecodable.detail, /212/);
  }
});

const GUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
const guidHeader = Buffer.from(`01${GUID.replaceAll("-", "")}`, "hex");

test("a header names the schema by id or GUID, comes before the value's own bytes, and may place the message", () => {
  const echo = { decode: (payload: Buffer) => ({ phone, eventId: payload.toString("hex") }) };
  const decodeFramed = withSchemas({ 7: echo, [GUID]: echo, 8: "unknown", 9: "unusable" });
  const decode = (header: unknown, value: Buffer = Buffer.from("{}")) =>
    decodeFramed({ value, headers: { __value_schema_id: header } });
  const idHeader = frame(7);
  for (const [header, value, payload] of [
    [idHeader, Buffer.from("{}"), "7b7d"],
    [idHeader, frame(9, "x"), "000000000978"],
    [idHeader, Buffer.from("{", "utf16le"), "7b00"],
    [guidHeader, Buffer.from([255, 254]), "fffe"],
    [Buffer.concat([idHeader, Buffer.from([2, 4])]), Buffer.from([10]), "02040a"],
    [Buffer.concat([guidHeader, Buffer.from([0])]), Buffer.from([10]), "000a"],
    [[frame(9), guidHeader], Buffer.from([10]), "0a"],
    [["old", idHeader], Buffer.from([10]), "0a"],
  ] as const) {
    const decoded = decode(header, value);
    assert.ok("event" in decoded, JSON.stringify(decoded));
    assert.equal(decoded.event.eventId, payload);
  }
  const otherGuid = Buffer.from(guidHeader).fill(0xab, 1);
  assert.deepEqual(decode(otherGuid), { schemaId: "abababab-abab-abab-abab-abababababab" });
  assert.deepEqual(decode(frame(6)), { schemaId: 6 });
  for (const [header, reason, detail] of [
    [frame(8), "unknown_schema", /schema id 8 by the header __value_schema_id, which the schema registry/],
    [frame(9), "undecodable", /cannot be used/],
    [frame(0), "undecodable", /not a possible id/],
    [frame(-7), "undecodable", /not a possible id/],
    [Buffer.alloc(0), "undecodable", /names no schema/],
    [Buffer.from([0, 0, 0, 7]), "undecodable", /names no schema/],
    [guidHeader.subarray(0, 16), "undecodable", /names no schema/],
    [Buffer.concat([Buffer.from([2]), guidHeader]), "undecodable", /names no schema/],
    ["7", "undecodable", /names no schema/],
  ] as const) {
    const refused = decode(header);
    assert.ok("reason" in refused, detail.source);
    assert.deepEqual([refused.reason, detail.test(refused.detail)], [reason, true], refused.detail);
  }
  for (const header of [null, undefined, 7, []]) assert.ok("reason" in decode(header));
  const none = decodeRecord({
    value: Buffer.from(`{"phone":"${phone}"}`),
    headers: { __key_schema_id: idHeader },
  });
  assert.ok("event" in none);
  const unconfigured = decodeRecord({ value: Buffer.from("{}"), headers: { __value_schema_id: guidHeader } });
  assert.ok("detail" in unconfigured && /set schemaRegistry\.url/.test(unconfigured.detail));
});

test("no bytes make the decoder throw, and every rejection has a reason of the list and a detail without the phone", () => {
  const hostile = withSchemas({ 1: { decode: (payload) => JSON.parse(payload.toString()) } });
  const check = (value: Buffer): void => {
    for (const decoder of [decodeRecord, hostile]) {
      const decoded = decoder({ value });
      if (!("reason" in decoded)) continue;
      assert.ok(REJECT_REASONS.includes(decoded.reason));
      assert.notEqual(decoded.detail, "");
    }
  };
  fc.assert(fc.property(fc.uint8Array(), (bytes) => check(Buffer.from(bytes))));
  const key = fc.constantFrom(
    "phone",
    "source",
    "eventId",
    "region",
    "occurredAt",
    "expiresAt",
    "action",
    "__proto__",
  );
  const record = fc.dictionary(key, fc.jsonValue());
  fc.assert(fc.property(record, (fields) => check(Buffer.from(JSON.stringify(fields)))));
  fc.assert(fc.property(fc.json(), (json) => check(frame(1, json))));
  fc.assert(
    fc.property(fc.integer({ min: 1_000_000, max: 9_999_999 }), (digits) => {
      const record = { phone: `x${digits}x`, region: String(digits), source: "web" };
      const decoded = decodeRecord({ value: Buffer.from(JSON.stringify(record)) });
      assert.ok("reason" in decoded && !decoded.detail.includes(String(digits)));
    }),
  );
});

const avro = z.object({
  fields: z.array(z.object({ name: z.string(), type: z.unknown(), default: z.null().optional() })),
});
const jsonSchema = z.object({ required: z.array(z.string()), properties: z.record(z.string(), z.unknown()) });

const readSchema = (name: string): unknown => JSON.parse(readFileSync(`schemas/${name}`, "utf8"));

test("the Avro and JSON Schemas have the same fields, and only the phone is required", () => {
  const { fields } = avro.parse(readSchema("opt-out-event.avsc"));
  const { required, properties } = jsonSchema.parse(readSchema("opt-out-event.schema.json"));
  assert.deepEqual(fields.map(({ name }) => name).sort(), Object.keys(properties).sort());
  assert.deepEqual(required, ["phone"]);
  for (const { name, type, default: absent } of fields) {
    if (name === "phone") assert.equal(type, "string");
    else assert.deepEqual([type, absent], [["null", "string"], null]);
  }
});
