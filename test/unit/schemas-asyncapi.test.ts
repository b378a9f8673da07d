import assert from "node:assert/strict";
import { posix } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { createDecoder } from "../../src/events/decode.ts";
import { fetchSchema } from "../../src/events/registry-client.ts";
import type { SchemaCache } from "../../src/events/schema-cache.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { createRegistry } from "../../src/registry/registry.ts";
import { json, registry } from "./events-registry.ts";

/*
 * The rules of AsyncAPI 3.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0) and its Kafka bindings 0.5.0, as
 * far as this document goes: a key that isn't here may be right, but has to be added with its rule.
 */
const text = z.string().min(1);
const ref = z.strictObject({ $ref: text });
const kafka = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject({ kafka: z.strictObject({ ...shape, bindingVersion: z.literal("0.5.0") }) });
const described = { title: text.optional(), summary: text.optional(), description: text.optional() };

const channel = z.strictObject({
  ...described,
  address: z.string().regex(/^[\w.-]{1,249}$/),
  servers: z.array(ref),
  messages: z.record(z.string(), ref),
  bindings: kafka({
    partitions: z.int().positive(),
    replicas: z.int().positive(),
    topicConfiguration: z.strictObject({
      "cleanup.policy": z.array(z.enum(["delete", "compact"])).min(1),
      "retention.ms": z.int().min(-1),
      "max.message.bytes": z.int().nonnegative().optional(),
    }),
  }),
});

const operation = z.strictObject({
  ...described,
  action: z.enum(["send", "receive"]),
  channel: ref,
  messages: z.array(ref).min(1),
  bindings: kafka({ groupId: z.looseObject({ type: z.literal("string") }) }).optional(),
});

const message = z.strictObject({
  ...described,
  name: text,
  contentType: z
    .string()
    .regex(/^\w+\/[\w.+-]+$/)
    .optional(),
  headers: z.looseObject({}).optional(),
  payload: ref.or(z.looseObject({ type: z.literal("object") })),
  bindings: kafka({
    key: z.looseObject({}),
    schemaIdLocation: z.enum(["payload", "header"]).optional(),
    schemaIdPayloadEncoding: text.optional(),
    schemaLookupStrategy: text.optional(),
  }),
  examples: z
    .array(
      z.strictObject({
        name: text,
        summary: text.optional(),
        headers: z.record(z.string(), z.string()).optional(),
        payload: z.unknown(),
      }),
    )
    .min(1),
});

const asyncApi = z.strictObject({
  asyncapi: z.literal("3.0.0"),
  id: z.string().regex(/^urn:/),
  info: z.strictObject({
    title: text,
    version: z.string().regex(/^\d+\.\d+\.\d+$/),
    description: text,
    license: z.strictObject({ name: text, url: z.url() }),
  }),
  defaultContentType: text,
  servers: z.record(
    z.string(),
    z.strictObject({
      host: text,
      protocol: z.literal("kafka"),
      description: text,
      variables: z.record(z.string(), z.strictObject({ default: text })),
      bindings: kafka({ schemaRegistryUrl: z.url(), schemaRegistryVendor: text }),
    }),
  ),
  channels: z.record(z.string(), channel),
  operations: z.record(z.string(), operation),
  components: z.strictObject({
    messages: z.record(z.string(), message),
    schemas: z.record(z.string(), z.looseObject({})),
  }),
});

const tree: unknown = parse(readPackageFile("schemas/asyncapi.yaml"));
const document = asyncApi.parse(tree);
type Message = z.infer<typeof message>;
type Example = Message["examples"][number];

const mapping = z.record(z.string(), z.unknown());

/** What a reference of the document means; throws if that isn't there. */
function target(reference: string): unknown {
  const [file = "", pointer = ""] = reference.split("#");
  const path = posix.join("schemas", file);
  let found: unknown = file === "" ? tree : JSON.parse(readPackageFile(path));
  for (const part of pointer.split("/").slice(1)) {
    const node = mapping.parse(found);
    assert.ok(Object.hasOwn(node, part), `${reference} has no ${part}`);
    found = node[part];
  }
  return found;
}

/** The same with every reference replaced by what it means. */
function resolved(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(resolved);
  if (typeof node !== "object" || node === null) return node;
  const reference = ref.safeParse(node).data;
  if (reference !== undefined) return resolved(target(reference.$ref));
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, resolved(value)]));
}

const multiFormat = z.strictObject({ schemaFormat: text, schema: z.looseObject({}) });
const AVRO = "application/vnd.apache.avro;version=1.9.0";
const formatOf = (payload: unknown) => multiFormat.safeParse(resolved(payload)).data;

/** Validates as the JSON Schema says. */
const fits = (schema: unknown, value: unknown) => {
  const { error } = z.fromJSONSchema(mapping.parse(resolved(schema))).safeParse(value);
  assert.equal(error, undefined);
};

const examples = Object.entries(document.components.messages).flatMap(([name, described]) =>
  described.examples.map((example): [string, Message, Example] => [
    `${name}.${example.name}`,
    described,
    example,
  ]),
);

test("the AsyncAPI document's references all lead to something", () => {
  resolved(tree);
  assert.throws(() => target("#/channels/nowhere"), /nowhere/);
  assert.throws(() => target("./nothing.avsc"), /ENOENT/);
});

test("operations are on a channel and have messages of that channel; every channel and message is used", () => {
  const used = new Set<string>();
  for (const [name, { channel, messages }] of Object.entries(document.operations)) {
    assert.match(channel.$ref, /^#\/channels\/\w+$/);
    used.add(channel.$ref);
    for (const { $ref } of messages) {
      assert.ok($ref.startsWith(`${channel.$ref}/messages/`), `${name}: ${$ref}`);
      used.add($ref).add(ref.parse(target($ref)).$ref);
    }
  }
  for (const [name, { messages }] of Object.entries(document.channels)) {
    assert.ok(used.has(`#/channels/${name}`), name);
    for (const one of Object.keys(messages)) assert.ok(used.has(`#/channels/${name}/messages/${one}`), one);
  }
  for (const [name, described] of Object.entries(document.components.messages)) {
    assert.equal(described.name, name);
    assert.ok(used.has(`#/components/messages/${name}`), name);
  }
});

for (const [name, { headers, payload }, example] of examples) {
  test(`the example ${name} is what its schemas describe`, async (t) => {
    if (headers !== undefined) fits(headers, example.headers ?? {});
    const format = formatOf(payload);
    if (format?.schemaFormat !== AVRO) return fits(format?.schema ?? payload, example.payload);
    const { url } = await registry(t, json(200, { schema: JSON.stringify(format.schema) }));
    const encode = await createRegistry({ url, requestTimeout: 5_000 }).serializer(7);
    const decoded = await decodedBy(url, encode(mapping.parse(example.payload)));
    assert.deepEqual(decoded, example.payload);
  });
}

test("an example that is not what its schema describes would be found", () => {
  const { deadLetter, eventJson, statusJson } = document.components.messages;
  const bad: [schema: unknown, of: Message | undefined, change: Record<string, unknown>][] = [
    [deadLetter?.headers, deadLetter, { "optout.attempts": "five" }],
    [formatOf(eventJson?.payload)?.schema, eventJson, { phone: 212.5 }],
    [formatOf(eventJson?.payload)?.schema, eventJson, { occurredAt: "yesterday" }],
    [formatOf(statusJson?.payload)?.schema, statusJson, { outcome: "lost" }],
    [formatOf(statusJson?.payload)?.schema, statusJson, { environments: [{ name: "production" }] }],
    [formatOf(statusJson?.payload)?.schema, statusJson, { detail: undefined }],
  ];
  for (const [schema, of, change] of bad) {
    const example = of?.examples[1];
    const good = example?.headers ?? mapping.parse(example?.payload);
    fits(schema, good);
    assert.throws(
      () => fits(schema, JSON.parse(JSON.stringify({ ...good, ...change }))),
      assert.AssertionError,
    );
  }
});

async function decodedBy(url: string, framed: Buffer): Promise<unknown> {
  const schema = await fetchSchema({ url }, 7, { timeoutMs: 5_000, signal: new AbortController().signal });
  assert.ok(typeof schema === "object" && "decode" in schema);
  return JSON.parse(JSON.stringify(schema.decode(framed.subarray(5))));
}

/** Knows one schema, of records that are JSON: which fields they have is what matters here. */
const schemas: SchemaCache = {
  get: () => ({ decode: (payload) => JSON.parse(payload.toString()) }),
  load: async () => {},
  close: () => {},
};

for (const [name, { bindings }, { payload, headers = {} }] of examples) {
  if (!name.startsWith("event")) continue;
  test(`the example ${name} is an opt-out`, () => {
    const decode = createDecoder({
      normalization: { defaultRegion: "US", regionBySource: { ivr: "GB" } },
      schemas,
    });
    const framed = bindings.kafka.schemaIdLocation === "payload";
    const value = Buffer.concat([
      Buffer.from(framed ? [0, 0, 0, 0, 7] : []),
      Buffer.from(JSON.stringify(payload)),
    ]);
    const sent = Object.entries(headers).map(([header, content]) => [header, Buffer.from(content)]);
    const decoded = decode({ value, headers: Object.fromEntries(sent) });
    assert.ok("ok" in decoded && decoded.ok, JSON.stringify(decoded));
    assert.ok(["+12125550123", "+442079460958"].includes(decoded.event.phone));
    if (name.startsWith("eventCloudEvent")) {
      assert.equal(decoded.event.eventId, "crm-4711");
      assert.equal(decoded.event.occurredAt, "2026-03-01T12:00:00Z");
    }
  });
}
