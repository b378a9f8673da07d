import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { IHeaders } from "kafkajs";
import { createSchemas } from "../../src/inspect/schemas.ts";
import { createProvenanceReader } from "../../src/redrive/provenance.ts";
import { deadLetterMessage } from "../../src/results/dead-letter.ts";
import { json, registry } from "./events-registry.ts";

const normalization = { defaultRegion: "US" as const, regionBySource: {} };
const UNKNOWN = { eventId: null, source: null };

/** The dead letter of a record, as its bytes are in Kafka. */
function letterOf(value: Buffer | string | null, headers: IHeaders = {}) {
  const bytes = value === null ? null : Buffer.from(value);
  const original = { topic: "opt-outs", partition: 0, offset: 7, key: null, value: bytes, headers };
  const letter = deadLetterMessage(original, { reason: "invalid_phone", detail: "too short" });
  const texts = Object.entries(letter.headers ?? {}).map(([name, text]) => [name, Buffer.from(String(text))]);
  return { value: bytes, headers: Object.fromEntries(texts) };
}

describe("how a redrive names the event of a dead letter", () => {
  const schemas = createSchemas({});
  const read = createProvenanceReader({ normalization }, schemas);
  const readJson = (fields: object) => read(letterOf(JSON.stringify(fields)));

  test("by its producer's id and source, whether its phone could be read or not", async () => {
    const named = { eventId: "order-17", source: "ivr" };
    assert.deepEqual(await readJson({ ...named, phone: "(212) 555-0123" }), named);
    assert.deepEqual(await readJson({ ...named, phone: "12" }), named);
    assert.deepEqual(await readJson(named), named);
    assert.deepEqual(await readJson({ phone: "12" }), { eventId: null, source: "unknown" });
  });

  test("by the attributes of a CloudEvent, though there is nothing else to read", async () => {
    const attributes = { ce_specversion: "1.0", ce_id: "a-1", ce_source: "shop", ce_type: "opt-out" };
    assert.equal((await read(letterOf(null, attributes))).eventId, "a-1");
  });

  test("never by a phone number that was made an id or a source", async () => {
    const phone = "+12125550123";
    assert.deepEqual(await readJson({ phone, eventId: "sms-2125550123", source: "web-5550123" }), {
      eventId: "***-********23",
      source: "***-*****23",
    });
    assert.deepEqual(await readJson({ phone: "12", eventId: "212-555-0123", source: "web" }), {
      eventId: "***-***-**23",
      source: "web",
    });
  });

  test("not at all if its schema can't be had: that doesn't keep anybody from sending it", async (t) => {
    const { url } = await registry(t, json(503, {}));
    const down = createSchemas({ schemaRegistry: { url, requestTimeout: 100 } }, 300);
    t.after(down.close);
    const readEncoded = createProvenanceReader({ normalization }, down);
    assert.deepEqual(await readEncoded(letterOf(Buffer.from([0, 0, 0, 0, 9, 1, 2]))), UNKNOWN);
  });
});
