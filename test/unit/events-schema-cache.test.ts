import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { CONFIRM_AFTER_MS } from "../../src/events/schema-cache.ts";
import { avroSchema, cacheFor, drop, json, notFound, registry, schema, usable } from "./events-registry.ts";

const phoneOnly = Buffer.concat([Buffer.from([24]), Buffer.from("+12125550123"), Buffer.alloc(6)]);

test("a schema is fetched once, and then decodes synchronously", async (t) => {
  const { url, requests } = await registry(t, schema);
  const cache = cacheFor(t, `${url}/`);
  assert.equal(cache.get(7), undefined);
  await cache.load(7);
  const asked = requests.length;
  await cache.load(7);
  assert.equal(requests.length, asked);
  assert.ok(requests.every((request) => request === "GET /schemas/ids/7"));
  assert.deepEqual(usable(cache, 7).decode(phoneOnly), {
    phone: "+12125550123",
    source: null,
    eventId: null,
    region: null,
    occurredAt: null,
    expiresAt: null,
    action: null,
  });
});

test("a schema id the registry doesn't know is remembered for 30 seconds only", async (t) => {
  const { url, requests } = await registry(t, notFound, notFound, schema);
  let now = 0;
  const cache = cacheFor(t, url, { now: () => now });
  await cache.load(7);
  assert.equal(cache.get(7), "unknown");
  now = 29_999;
  await cache.load(7);
  assert.equal(cache.get(7), "unknown");
  assert.equal(requests.length, 2);
  now = 30_000;
  assert.equal(cache.get(7), undefined);
  await cache.load(7);
  assert.ok(usable(cache, 7));
});

test("a node that has not heard of a schema yet is not believed, nor one that lacks what the schema refers to", async (t) => {
  const gone = json(404, { error_code: 40401, message: "Subject 'phone' not found." });
  const reference = { name: "optout.Phone", subject: "phone", version: 1 };
  const referring = json(200, { schema: avroSchema, references: [reference] });
  const referred = json(200, { schema: '{"type":"fixed","name":"Phone","size":9}' });
  for (const answers of [
    [notFound, schema],
    [notFound, referring, referred],
    [referring, gone, schema],
    [referring, gone, referring, referred],
  ]) {
    const { url, requests } = await registry(t, ...answers);
    const cache = cacheFor(t, url);
    await cache.load(7);
    assert.ok(usable(cache, 7));
    assert.equal(requests.length, answers.length);
  }
});

test("a failure between two refusals neither confirms nor forgets the first", async (t) => {
  const { url, requests } = await registry(t, notFound, json(503, {}), notFound);
  const cache = cacheFor(t, url);
  await cache.load(7);
  assert.equal(cache.get(7), "unknown");
  assert.equal(requests.length, 3);
  const recovered = await registry(t, notFound, json(503, {}), schema);
  const other = cacheFor(t, recovered.url);
  await other.load(7);
  assert.ok(usable(other, 7));
});

test("a refusal is confirmed two seconds after the first, and is no answer until then", async (t) => {
  const askedAt: number[] = [];
  const known: unknown[] = [];
  const { url } = await registry(t, (response, request) => {
    askedAt.push(performance.now());
    known.push(cache.get(7));
    notFound(response, request);
  });
  const cache = cacheFor(t, url, { confirmAfterMs: CONFIRM_AFTER_MS });
  await cache.load(7);
  const [first = 0, second = 0] = askedAt;
  assert.equal(askedAt.length, 2);
  assert.ok(second - first >= 1_990, `${second - first} ms`);
  assert.deepEqual(known, [undefined, undefined]);
  assert.equal(cache.get(7), "unknown");
});

test("closing, or the last caller leaving, ends the wait for a confirmation", async (t) => {
  const answered: ServerResponse[] = [];
  const { url } = await registry(t, (response, request) => {
    answered.push(response);
    notFound(response, request);
  });
  const cache = cacheFor(t, url, { confirmAfterMs: 2 ** 30 });
  const caller = new AbortController();
  const loads = [cache.load(1, caller.signal), cache.load(2)];
  const ended = Promise.all(loads.map((load) => assert.rejects(load)));
  while (answered.length < 2 || !answered.every((response) => response.writableFinished)) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  caller.abort();
  cache.close();
  await ended;
  assert.equal(answered.length, 2);
});

test("callers that wait for the same id share its requests", async (t) => {
  const { url, requests } = await registry(t, notFound);
  const cache = cacheFor(t, url);
  await Promise.all(Array.from({ length: 50 }, () => cache.load(7)));
  assert.equal(requests.length, 2);
});

test("a caller that aborts leaves the others waiting, and the last one to leave ends the request", async (t) => {
  const held: ServerResponse[] = [];
  const { url, requests } = await registry(t, (response) => held.push(response));
  const cache = cacheFor(t, url, { requestTimeoutMs: 60_000 });
  const [first, second] = [new AbortController(), new AbortController()];
  const loads = [cache.load(7, first.signal), cache.load(7, second.signal)];
  const outcomes = Promise.allSettled(loads);
  first.abort(new Error("rebalanced"));
  await assert.rejects(loads[0] ?? Promise.resolve(), /rebalanced/);
  while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const [response] = held;
  assert.equal(response?.destroyed, false);
  const closed = once(response ?? new PassThrough(), "close");
  second.abort();
  await closed;
  assert.deepEqual(
    (await outcomes).map(({ status }) => status),
    ["rejected", "rejected"],
  );
  await assert.rejects(cache.load(7, AbortSignal.abort()));
  assert.equal(requests.length, 1);
});

test("closing ends what waits, also between two attempts, and what comes later", async (t) => {
  const { url } = await registry(t, drop);
  const cache = cacheFor(t, url, { backoff: { initial: 60_000, maximum: 60_000 }, random: () => 1 });
  const loads = [cache.load(1), cache.load(2)];
  const ended = Promise.all(loads.map((load) => assert.rejects(load)));
  cache.close();
  await ended;
  await assert.rejects(cache.load(3), /closed/);
});

test("credentials are sent with every request", async (t) => {
  const seen: (string | undefined)[] = [];
  const { url } = await registry(t, (response, request) => {
    seen.push(request.headers.authorization);
    schema(response, request);
  });
  const cache = cacheFor(t, url, { registry: { url, username: "relay", password: "s3cret" } });
  await cache.load(7);
  const expected = `Basic ${Buffer.from("relay:s3cret").toString("base64")}`;
  assert.deepEqual([...new Set(seen)], [expected]);
});

test("at most 1,000 ids are remembered, the most recently used", async (t) => {
  const { url } = await registry(t, notFound);
  const cache = cacheFor(t, url);
  await cache.load(1);
  for (let id = 2; id <= 1001; id += 1) {
    cache.get(1);
    await cache.load(id);
  }
  assert.equal(cache.get(1), "unknown");
  assert.equal(cache.get(2), undefined);
  assert.equal(cache.get(1001), "unknown");
});
