import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OptoutError } from "../../src/errors.ts";
import { readPackageFile } from "../../src/package-files.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { STATUS_AVRO } from "../../src/registry/subjects.ts";
import { createStatusEncoder, type StatusRecord, statusRecord } from "../../src/results/status.ts";

const record: StatusRecord = {
  statusId: "opt-out-events:3:42",
  outcome: "partially_delivered",
  eventId: "event-1",
  phone: "+12125550123",
  source: "web",
  reason: "refused_by_environment",
  detail: "refused by us-west (HTTP 422)",
  idempotencyKey: "opt-out-events:3:40-49:0123456789abcdef",
  origin: { topic: "opt-out-events", partition: 3, offset: 42, timestamp: "2026-01-02T03:04:05.678Z" },
  environments: [
    {
      name: "production",
      outcome: "accepted",
      attempts: 2,
      httpStatus: 201,
      requestId: "r-1",
      acknowledgedAt: "2026-01-02T03:04:06.000Z",
    },
    {
      name: "us-west",
      outcome: "rejected",
      attempts: null,
      httpStatus: null,
      requestId: null,
      acknowledgedAt: null,
    },
  ],
  occurredAt: null,
  completedAt: "2026-01-02T03:04:06.001Z",
};

test("without a registry a status record is JSON and needs no preparation", async () => {
  const encoder = createStatusEncoder({ registry: null, topic: "status" });
  assert.deepEqual(JSON.parse(String(encoder.encode(record))), record);
  await encoder.prepare();
});

test("the JSON is that of every text, however odd, whatever others have before it", () => {
  const { encode } = createStatusEncoder({ registry: null, topic: "status" });
  const text = fc.string({ unit: "grapheme", maxLength: 300 });
  const odd = fc.record({
    ...{
      statusId: text,
      eventId: fc.option(text),
      phone: fc.option(text),
      source: text,
      occurredAt: fc.option(text),
    },
    ...{
      reason: fc.option(text),
      detail: fc.option(text),
      idempotencyKey: fc.option(text),
      completedAt: text,
    },
    origin: fc.record({ topic: text, partition: fc.nat(), offset: fc.maxSafeNat(), timestamp: text }),
  });
  const earlier: [ReturnType<typeof encode>, StatusRecord][] = [];
  fc.assert(
    fc.property(odd, (fields) => {
      const one = { ...record, ...fields };
      const next = { ...one, statusId: `${one.statusId}+1` };
      for (const each of [one, next]) earlier.push([encode(each), each]);
    }),
    { numRuns: 500 },
  );
  for (const [encoded, each] of earlier) {
    assert.deepEqual(JSON.parse(String(encoded)), JSON.parse(JSON.stringify(each)));
    assert.equal(encoded.length, Buffer.byteLength(String(encoded)));
  }
});

test("with a registry it is encoded by the schema registered for the topic's values", async () => {
  const registered: string[][] = [];
  const registry: Registry = {
    registerSchema: async (subject, avsc) => {
      registered.push([subject, avsc]);
      return 5;
    },
    serializer: async (id) => (value) => Buffer.from(`${id} ${JSON.stringify(value)}`),
  };
  const encoder = createStatusEncoder({ registry, topic: "status" });
  await encoder.prepare();
  assert.deepEqual(registered, [["status-value", readPackageFile(STATUS_AVRO)]]);
  assert.equal(String(encoder.encode(record)), `5 ${JSON.stringify(record)}`);
});

test("encoding before the schema is known is a defect that is told, and preparing can be tried again", async () => {
  let answers = 0;
  const registry: Registry = {
    registerSchema: async () => {
      answers += 1;
      if (answers === 1) throw new OptoutError("registry_unreachable", "not now");
      return 5;
    },
    serializer: async () => () => Buffer.from("encoded"),
  };
  const encoder = createStatusEncoder({ registry, topic: "status", schema: "{}" });
  await assert.rejects(encoder.prepare(), /not now/);
  assert.throws(() => encoder.encode(record), /before its schema was known/);
  await encoder.prepare();
  assert.equal(String(encoder.encode(record)), "encoded");
});

test("a record of the example's kind is what the schemas are written from, and one with a field missing or odd isn't", () => {
  assert.deepEqual(statusRecord.parse(record), record);
  const { detail: _, ...incomplete } = record;
  const odd = [
    incomplete,
    { ...record, outcome: "accepted" },
    { ...record, phone: "2125550123" },
    { ...record, origin: { ...record.origin, partition: 2 ** 31 } },
    { ...record, environments: [{ ...record.environments[0], attempts: "2" }] },
  ];
  for (const each of odd) assert.equal(statusRecord.safeParse(each).success, false, JSON.stringify(each));
});

test("a reader passes over fields that a later version adds", () => {
  assert.deepEqual(statusRecord.parse({ ...record, later: { version: 2 } }), record);
});
