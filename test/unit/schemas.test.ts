import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { createDecoder } from "../../src/events/decode.ts";
import { REJECT_REASONS } from "../../src/events/event.ts";
import { createIntake } from "../../src/gateway/intake.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { redrivenHeaders } from "../../src/redrive/headers.ts";
import { deadLetterHeaders } from "../../src/results/dead-letter.ts";
import { statusRecord } from "../../src/results/status.ts";
import { avroSchemaOf, jsonSchemaOf } from "../support/record-schemas.ts";

/** A published schema is what the code says. */
function assertPublished(path: string, schema: unknown): void {
  if (process.env.OPTOUT_TEST_UPDATE) writeFileSync(resolve(path), `${JSON.stringify(schema, null, 2)}\n`);
  assert.deepEqual(JSON.parse(readPackageFile(path)), schema, `${path} differs: see schemas/README.md`);
}

for (const [name, schema] of [
  ["opt-out-status", statusRecord],
  ["opt-out-dead-letter", deadLetterHeaders],
  ["opt-out-redriven", redrivenHeaders],
] as const) {
  test(`the JSON and Avro schemas of ${name} are those of the code (OPTOUT_TEST_UPDATE=1 writes them anew)`, () => {
    assertPublished(`schemas/${name}.schema.json`, jsonSchemaOf(schema, name));
    assertPublished(`schemas/${name}.avsc`, avroSchemaOf(schema));
  });
}

test("schemas written from code have the types, defaults and names that a reader of either form expects", () => {
  const record = z
    .object({
      "a.header": z.string().optional().describe("Why."),
      count: z.int32(),
      offset: z.int().nonnegative(),
      kind: z.enum(["one", "two"]).meta({ title: "Kind" }),
      more: z.array(z.object({ at: z.string().min(2).nullable() }).meta({ title: "More" })),
    })
    .meta({ title: "Sample", description: "Of all kinds." });
  assert.deepEqual(avroSchemaOf(record), {
    type: "record",
    name: "Sample",
    namespace: "optout",
    doc: "Of all kinds.",
    fields: [
      { name: "a_header", type: ["null", "string"], default: null, doc: "Why." },
      { name: "count", type: "int" },
      { name: "offset", type: "long" },
      { name: "kind", type: { type: "enum", name: "Kind", symbols: ["one", "two"] } },
      {
        name: "more",
        type: {
          type: "array",
          items: {
            type: "record",
            name: "More",
            fields: [{ name: "at", type: ["null", "string"], default: null }],
          },
        },
      },
    ],
  });
  assert.deepEqual(jsonSchemaOf(record, "sample"), {
    $schema: "http://json-schema.org/draft-07/schema#",
    $id: "urn:optout-relay:sample",
    title: "Sample",
    description: "Of all kinds.",
    type: "object",
    required: ["count", "offset", "kind", "more"],
    properties: {
      "a.header": { type: "string", description: "Why." },
      count: { type: "integer" },
      offset: { type: "integer", minimum: 0 },
      kind: { type: "string", enum: ["one", "two"], title: "Kind" },
      more: {
        type: "array",
        items: {
          type: "object",
          title: "More",
          required: ["at"],
          properties: { at: { type: ["string", "null"], minLength: 2 } },
        },
      },
    },
  });
});

test("readers are told every reason there is", () => {
  for (const path of ["schemas/opt-out-status.schema.json", "schemas/opt-out-dead-letter.avsc"]) {
    assert.ok(readPackageFile(path).includes(`: ${REJECT_REASONS.join(", ")}. New codes may come.`), path);
  }
});

const mapping = z.record(z.string(), z.unknown());
const eventJson = mapping.parse(JSON.parse(readPackageFile("schemas/opt-out-event.schema.json")));
const eventFields = Object.keys(mapping.parse(eventJson.properties)).sort();
const normalization = { defaultRegion: "US", regionBySource: {} } as const;

test("the fields of an event's schemas are those the relay reads, no more and no less", () => {
  const read = new Set<string>();
  const record = new Proxy<Record<string, unknown>>(
    { phone: "+12125550123" },
    {
      getOwnPropertyDescriptor(fields, name) {
        read.add(String(name));
        return Reflect.getOwnPropertyDescriptor(fields, name);
      },
    },
  );
  const schemas = { get: () => ({ decode: () => record }), load: async () => {}, close: () => {} };
  const decoded = createDecoder({ normalization, schemas })({ value: Buffer.from([0, 0, 0, 0, 1]) });
  assert.ok("ok" in decoded && decoded.ok);
  const ofCloudEvents = ["specversion", "data", "data_base64"];
  assert.deepEqual([...read].filter((name) => !ofCloudEvents.includes(name)).sort(), eventFields);

  const { fields } = z
    .object({ fields: z.array(z.object({ name: z.string() })) })
    .parse(JSON.parse(readPackageFile("schemas/opt-out-event.avsc")));
  assert.deepEqual(fields.map(({ name }) => name).sort(), eventFields);
});

test("what the gateway puts on the topic is an event by its schema, with no field that isn't in it", () => {
  const intake = createIntake(normalization);
  const bodies = [
    { phone: "(212) 555-0123" },
    {
      phone: 2079460958,
      region: "gb",
      source: "the web form",
      eventId: "e-1",
      occurredAt: "2026-03-01T12:00:00Z",
      expiresAt: "2031-03-01T12:00:00+01:00",
      action: "opt_out",
    },
  ];
  for (const body of bodies) {
    const taken = intake({ body: Buffer.from(JSON.stringify(body)), idempotencyKey: undefined });
    assert.ok(taken.ok);
    const event = mapping.parse(JSON.parse(String(taken.message.value)));
    assert.equal(z.fromJSONSchema(eventJson).safeParse(event).error, undefined);
    for (const name of Object.keys(event)) assert.ok(eventFields.includes(name), name);
  }
});

test("the event's JSON Schema refuses what the relay refuses", () => {
  const schema = z.fromJSONSchema(eventJson);
  const refused = [
    { source: "web" },
    { phone: "" },
    { phone: 212.5 },
    { phone: -1 },
    { phone: "+12125550123", action: "opt_in" },
    { phone: "+12125550123", region: "Britain" },
    { phone: "+12125550123", expiresAt: "tomorrow" },
  ];
  const decode = createDecoder({ normalization, schemas: null });
  for (const event of refused) {
    assert.equal(schema.safeParse(event).success, false, JSON.stringify(event));
    const decoded = decode({ value: Buffer.from(JSON.stringify(event)) });
    assert.ok("ok" in decoded && !decoded.ok, JSON.stringify(event));
  }
});
