import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { createDecoder } from "../../src/events/decode.ts";
import { REJECT_REASONS } from "../../src/events/event.ts";
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

function withSchemas(known: Record<number, ReturnType<SchemaCache["get"]>>) {
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
    [2, /registry does not know/],
    [3, /cannot be used/],
    [4, /payload does not fit/],
    [5, /not an object/],
    [0, /not a possible id/],
    [-1, /not a possible id/],
  ] as const) {
    const undecodable = decodeId(id);
    assert.ok("reason" in undecodable);
    assert.equal(undecodable.reason, "undecodable");
    assert.match(undecodable.detail, detail);
    assert.doesNotMatch(undecodable.detail, /212/);
  }
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
