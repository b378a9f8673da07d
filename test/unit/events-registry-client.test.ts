import assert from "node:assert/strict";
import { test } from "node:test";
import { SchemaRegistry } from "@kafkajs/confluent-schema-registry";
import { createDecoder } from "../../src/events/decode.ts";
import { MAX_SCHEMA_LENGTH } from "../../src/events/registry-client.ts";
import {
  type Answer,
  avroSchema,
  cacheFor,
  json,
  notFound,
  registry,
  schema,
  usable,
} from "./events-registry.ts";

test("what the library's own serializer writes, the relay's decoder reads", async (t) => {
  const { url } = await registry(t, schema);
  const cache = cacheFor(t, url);
  const decode = createDecoder({
    normalization: { defaultRegion: "US", regionBySource: {} },
    schemas: cache,
  });
  const value = await new SchemaRegistry({ host: url }).encode(7, {
    phone: "(212) 555-0123",
    source: "ivr",
    expiresAt: "2030-01-01T00:00:00Z",
  });
  assert.deepEqual(decode({ value }), { schemaId: 7 });
  await cache.load(7);
  const decoded = decode({ value });
  assert.ok("event" in decoded);
  assert.equal(decoded.event.phone, "+12125550123");
  assert.equal(decoded.event.type, "dncl_expiration");
  const truncated = decode({ value: value.subarray(0, 12) });
  assert.ok("reason" in truncated && truncated.reason === "undecodable");
  const bare = decode({ value: value.subarray(0, 5) });
  assert.ok("reason" in bare && bare.reason === "undecodable");
});

test("a producer's own Avro schema works: numbers, timestamps and wrapped unions", async (t) => {
  const own = {
    type: "record",
    name: "Own",
    fields: [
      { name: "phone", type: ["null", "int", "long"] },
      { name: "occurredAt", type: { type: "long", logicalType: "timestamp-millis" } },
    ],
  };
  const { url } = await registry(t, json(200, { schema: JSON.stringify(own), schemaType: "AVRO" }));
  const cache = cacheFor(t, url);
  await cache.load(1);
  const value = await new SchemaRegistry({ host: url }).encode(1, {
    phone: { long: 12125550123 },
    occurredAt: Date.UTC(2030, 0, 1),
  });
  const decode = createDecoder({
    normalization: { defaultRegion: "US", regionBySource: {} },
    schemas: cache,
  });
  const decoded = decode({ value });
  assert.ok("event" in decoded, JSON.stringify(decoded));
  assert.equal(decoded.event.phone, "+12125550123");
  assert.equal(decoded.event.occurredAt, "2030-01-01T00:00:00.000Z");
});

test("JSON Schema of any draft decodes too, and a field given twice is ambiguous there as well", async (t) => {
  const draft = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    properties: { at: { format: "odd" } },
  };
  const { url } = await registry(t, json(200, { schema: JSON.stringify(draft), schemaType: "JSON" }));
  const cache = cacheFor(t, url);
  await cache.load(1);
  const { decode } = usable(cache, 1);
  assert.deepEqual(decode(Buffer.from('{"phone":{"a":1}}')), { phone: { a: 1 } });
  assert.throws(() => decode(Buffer.from([0xc3, 0x28])));
  const decodeRecord = createDecoder({
    normalization: { defaultRegion: "US", regionBySource: {} },
    schemas: cache,
  });
  const twice = decodeRecord({ value: Buffer.from('\0\0\0\0\u0001{"phone":"1","phone":"2"}') });
  assert.ok("reason" in twice && twice.reason === "ambiguous_field");
});

test("a schema is found by its GUID", async (t) => {
  const guid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
  const { url, requests } = await registry(t, schema);
  const cache = cacheFor(t, url);
  await cache.load(guid);
  assert.ok(usable(cache, guid));
  assert.deepEqual(requests, [`GET /schemas/guids/${guid}`]);
});

test("a GUID is unknown to a registry that says so, and to one that has none by GUID; a wrong path is no answer", async (t) => {
  const noSuchPath = json(404, { error_code: 404, message: "HTTP 404 Not Found" });
  const types = json(200, ["AVRO", "JSON", "PROTOBUF"]);
  for (const [answers, known] of [
    [[notFound], "unknown"],
    [[noSuchPath, types, noSuchPath, types], "unknown"],
    [[noSuchPath, noSuchPath, noSuchPath, json(503, {}), schema], "object"],
    [[noSuchPath, json(200, { error: "?" }), schema], "object"],
    [[noSuchPath, types, schema], "object"],
    [[json(503, {}), schema], "object"],
  ] as const) {
    const { url } = await registry(t, ...answers);
    const cache = cacheFor(t, url);
    await cache.load("guid");
    const entry = cache.get("guid");
    assert.equal(typeof entry === "string" ? entry : typeof entry, known);
  }
});

test("what a schema refers to is fetched once each, however deep, and read before it", async (t) => {
  const refer = (...subjects: string[]) =>
    subjects.map((subject) => ({ name: subject, subject, version: 1 }));
  const record = (name: string, fields: object[]) => JSON.stringify({ type: "record", name, fields });
  const field = (name: string, type: unknown) => ({ name, type });
  const bodies: Record<string, object> = {
    "/schemas/ids/1": {
      schema: record("Wish", [field("phone", "string"), field("a", "A"), field("b", "B")]),
      references: refer("a", "b"),
    },
    "/subjects/a/versions/1?deleted=true": {
      schema: record("A", [field("c", "C")]),
      references: refer("c"),
    },
    "/subjects/b/versions/1?deleted=true": {
      schema: record("B", [field("c", "C")]),
      references: refer("c"),
    },
    "/subjects/c/versions/1?deleted=true": { schema: record("C", [field("n", "int")]) },
  };
  const { url, requests } = await registry(t, (response, request) =>
    json(200, bodies[request.url ?? ""])(response, request),
  );
  const cache = cacheFor(t, url);
  await cache.load(1);
  const payload = Buffer.from([2, 0x37, 2, 4]);
  assert.deepEqual(JSON.parse(JSON.stringify(usable(cache, 1).decode(payload))), {
    phone: "7",
    a: { c: { n: 1 } },
    b: { c: { n: 2 } },
  });
  assert.equal(requests.length, 4);
});

test("schemas that refer to each other in circles, or without end, can't be used", async (t) => {
  for (const next of [(asked: number) => `s${asked % 2}`, (asked: number) => `s${asked}`]) {
    const { url, requests } = await registry(t, (response, request) => {
      const references = [{ name: "x", subject: next(requests.length), version: 1 }];
      json(200, { schema: '"string"', references })(response, request);
    });
    const cache = cacheFor(t, url);
    await cache.load(1);
    assert.equal(cache.get(1), "unusable");
    assert.ok(requests.length <= 2 * 102, `${requests.length}`);
  }
});

test("a slow registry is asked for one reference after the other, each within the timeout, and none twice", async (t) => {
  const names = Array.from({ length: 12 }, (_, at) => `R${at}`);
  const main = {
    schema: JSON.stringify({ type: "record", name: "E", fields: [{ name: "phone", type: "string" }] }),
    references: names.map((subject) => ({ name: subject, subject, version: 1 })),
  };
  const slow = new Set(["R11"]);
  const { url, requests } = await registry(t, (response, request) => {
    const [, subject] = /subjects\/(\w+)\//.exec(request.url ?? "") ?? [];
    if (subject === undefined) return json(200, main)(response, request);
    // Longer than the timeout, once.
    if (slow.delete(subject)) return;
    const body = { schema: JSON.stringify({ type: "record", name: subject, fields: [] }) };
    setTimeout(() => json(200, body)(response, request), 50);
  });
  const cache = cacheFor(t, url, { requestTimeoutMs: 400 });
  await cache.load(1);
  assert.ok(usable(cache, 1));
  assert.equal(requests.filter((request) => request.includes("/ids/1")).length, 2);
  for (const name of names) {
    const times = requests.filter((request) => request.includes(`/subjects/${name}/`)).length;
    assert.equal(times, name === "R11" ? 2 : 1, name);
  }
});

test("what is said to be no use is asked for anew, with all that it refers to", async (t) => {
  const reference = { name: "Part", subject: "part", version: 1 };
  const wish = JSON.stringify({ type: "record", name: "E", fields: [{ name: "part", type: "Part" }] });
  const referring = json(200, { schema: wish, references: [reference] });
  const [wrong, right] = ["Other", "Part"].map((name) =>
    json(200, { schema: JSON.stringify({ type: "record", name, fields: [] }) }),
  );
  assert.ok(wrong !== undefined && right !== undefined);
  const { url, requests } = await registry(t, referring, wrong, referring, right);
  const cache = cacheFor(t, url);
  await cache.load(1);
  assert.ok(usable(cache, 1));
  assert.equal(requests.length, 4);
});

test("a schema too large to compile can't be used, nor one whose references add up to that", async (t) => {
  const filled = (name: string, length: number): string =>
    JSON.stringify({ type: "record", name, doc: "x".repeat(length), fields: [] });
  const references = ["A", "B", "C"].map((subject) => ({ name: subject, subject, version: 1 }));
  for (const [length, known] of [
    [MAX_SCHEMA_LENGTH / 4, "object"],
    [MAX_SCHEMA_LENGTH / 3, "unusable"],
    [MAX_SCHEMA_LENGTH, "unusable"],
  ] as const) {
    const { url } = await registry(t, (response, request) => {
      const [, subject] = /subjects\/(\w+)\//.exec(request.url ?? "") ?? [];
      const body = { schema: filled(subject ?? "E", length), ...(subject === undefined && { references }) };
      json(200, body)(response, request);
    });
    const cache = cacheFor(t, url);
    await cache.load(1);
    const entry = cache.get(1);
    assert.equal(typeof entry === "string" ? entry : typeof entry, known, `${length}`);
  }
});

test("an answer too large is read so far only: of a registry's it can't be used, a proxy's page is no answer", async (t) => {
  const MIB = 1024 * 1024;
  const chunk = Buffer.alloc(64 * 1024, "x");
  let written = 0;
  const huge =
    (type: string): Answer =>
    (response) => {
      let left = (16 * MIB) / chunk.length;
      const more = (): void => {
        for (let room = true; room && left > 0 && !response.destroyed; left -= 1) {
          room = response.write(chunk);
          written += chunk.length;
        }
        if (left === 0) response.end('"}');
      };
      response.writeHead(200, { "content-type": type });
      response.write('{"schema":"');
      response.on("drain", more);
      more();
    };
  const registered = await registry(t, huge("application/vnd.schemaregistry.v1+json"));
  const cache = cacheFor(t, registered.url);
  await cache.load(1);
  assert.equal(cache.get(1), "unusable");
  // Two answers, and what the sockets hold.
  assert.ok(written < 24 * MIB, `${written} bytes`);
  const proxied = await registry(t, huge("text/html"), huge("text/html"), schema);
  const other = cacheFor(t, proxied.url);
  await other.load(1);
  assert.ok(usable(other, 1));
});

test("a schema that can't be used is told apart from one that isn't there", async (t) => {
  const broken = { schema: '{"type":"nonsense"}' };
  const foreign = { schema: "<xsd/>", schemaType: "XSD" };
  const { url } = await registry(t, (response, request) =>
    json(200, request.url?.endsWith("/1") ? broken : foreign)(response, request),
  );
  const cache = cacheFor(t, url);
  await Promise.all([cache.load(1), cache.load(2)]);
  assert.deepEqual([cache.get(1), cache.get(2)], ["unusable", "unusable"]);
});

test("a schema that refers to one that is gone can't be used", async (t) => {
  const reference = { name: "optout.Phone", subject: "phone", version: 1 };
  const { url, requests } = await registry(t, (response, request) =>
    request.url?.startsWith("/schemas/ids/")
      ? json(200, { schema: avroSchema, references: [reference] })(response, request)
      : json(404, { error_code: 40401, message: "Subject 'phone' not found." })(response, request),
  );
  const cache = cacheFor(t, url);
  await cache.load(1);
  assert.equal(cache.get(1), "unusable");
  assert.match(requests.at(-1) ?? "", /^GET \/subjects\/phone\/versions\/1\b/);
});
