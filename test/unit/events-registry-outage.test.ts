import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { createLogger } from "../../src/observability/logger.ts";
import {
  type Answer,
  avroSchema,
  cacheFor,
  cutShort,
  drop,
  json,
  neverAnswer,
  registry,
  schema,
  usable,
} from "./events-registry.ts";

for (const [what, answer] of [
  ["accepts the connection and never answers", neverAnswer],
  ["drops the connection", drop],
  ["cuts its answer short", cutShort],
  ["answers 500", json(500, { error_code: 50001, message: "store" })],
  ["answers 503 with a page", (response) => response.writeHead(503).end("<html>")],
  ["answers 401", json(401, { error_code: 401, message: "Unauthorized" })],
  ["answers 403", json(403, {})],
  ["answers 400", json(400, {})],
  ["answers 404 for a wrong path", json(404, { error_code: 404, message: "HTTP 404 Not Found" })],
  ["answers 404 with a proxy's page", (response) => response.writeHead(404).end("<html>")],
  ["redirects", (response) => response.writeHead(302, { location: "/login" }).end()],
  ["answers 200 with a proxy's page", (response) => response.writeHead(200).end("<html>")],
] as const satisfies [string, Answer][]) {
  test(`a registry that ${what} delays, and never rejects`, async (t) => {
    const { url } = await registry(t, answer, answer, schema);
    const cache = cacheFor(t, url, { requestTimeoutMs: answer === neverAnswer ? 100 : 10_000 });
    await cache.load(7);
    assert.ok(usable(cache, 7));
  });
}

test("a failing request for a schema that another refers to delays, and never rejects", async (t) => {
  const referring = json(200, { schema: avroSchema, references: [{ name: "p", subject: "p", version: 1 }] });
  for (const [timeout, failing] of [
    [200, neverAnswer],
    [10_000, cutShort],
    [10_000, drop],
    [10_000, json(503, {})],
    [10_000, json(404, {})],
  ] as const) {
    const { url } = await registry(t, referring, failing, schema);
    const cache = cacheFor(t, url, { requestTimeoutMs: timeout });
    await cache.load(7);
    assert.ok(usable(cache, 7));
  }
});

test("a schema asked for by GUID is waited for likewise", async (t) => {
  const answers = [drop, cutShort, json(500, {}), json(401, {}), json(404, {}), json(503, {}), schema];
  const { url, requests } = await registry(t, ...answers);
  const cache = cacheFor(t, url);
  await cache.load("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0");
  assert.ok(usable(cache, "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"));
  assert.equal(requests.length, answers.length);
});

test("a registry that isn't there yet is waited for", async (t) => {
  const { url, requests } = await registry(t, schema);
  const { port } = new URL(url);
  const late = createServer((_request, response) => json(200, { schema: avroSchema })(response, _request));
  late.listen(0, "127.0.0.1");
  await once(late, "listening");
  const latePort = (late.address() as AddressInfo).port;
  await new Promise((resolve) => late.close(resolve));
  t.after(() => {
    late.closeAllConnections();
    late.close();
  });
  const cache = cacheFor(t, `http://127.0.0.1:${latePort}`);
  const loading = cache.load(7);
  // The other registry's answer is the sign that at least one attempt has had the time to fail.
  await cacheFor(t, `http://127.0.0.1:${port}`).load(7);
  assert.equal(cache.get(7), undefined);
  late.listen(latePort, "127.0.0.1");
  await loading;
  assert.ok(usable(cache, 7));
  assert.notEqual(requests.length, 0);
});

test("a registry that stays away is warned of at most every 30 seconds, and its return is told", async (t) => {
  const lines: { level: string; why?: string }[] = [];
  const sink = new PassThrough().on("data", (line) => lines.push(JSON.parse(String(line))));
  const logger = createLogger({ level: "info", format: "json" }, sink);
  const failing = json(503, {});
  let asked = 0;
  const { url } = await registry(t, (response, request) => {
    asked += 1;
    (asked <= 6 ? failing : schema)(response, request);
  });
  const cache = cacheFor(t, url, { logger, now: () => (asked < 4 ? 0 : 30_000) });
  await cache.load(7);
  assert.deepEqual(
    lines.map(({ level, why }) => `${level} ${why ?? ""}`),
    ["warn HTTP 503", "warn HTTP 503", "info "],
  );
  assert.ok(!JSON.stringify(lines).includes("127.0.0.1"));
});
