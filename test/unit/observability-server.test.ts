import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createMetrics } from "../../src/observability/metrics.ts";
import {
  type Health,
  type ObservedProcess,
  startObservabilityServer,
} from "../../src/observability/server.ts";
import { parseExposition } from "../support/prometheus.ts";

interface Observed extends ObservedProcess {
  liveness: Health;
  readiness: Health;
}

function observed(): Observed {
  const process: Observed = {
    liveness: { ok: true },
    readiness: { ok: true },
    live: () => process.liveness,
    ready: () => process.readiness,
    state: () => ({ phase: "active", environments: [] }),
    metrics: createMetrics({ version: "1", environments: [] }),
    environments: [],
    setPaused: () => false,
  };
  return process;
}

async function serve(t: TestContext, process: ObservedProcess, port = 0): Promise<string> {
  const server = await startObservabilityServer(process, { host: "127.0.0.1", port });
  t.after(() => server.close());
  return server.url;
}

test("health is 200 and ok, or 503 and the reason, each for itself", async (t) => {
  const process = observed();
  const url = await serve(t, process);
  const get = async (path: string) => {
    const response = await fetch(url + path);
    return [response.status, await response.json()];
  };
  assert.deepEqual(await get("/livez"), [200, { status: "ok" }]);
  assert.deepEqual(await get("/readyz"), [200, { status: "ok" }]);
  process.readiness = { ok: false, reason: "draining" };
  assert.deepEqual(await get("/livez"), [200, { status: "ok" }]);
  assert.deepEqual(await get("/readyz"), [503, { status: "unavailable", reason: "draining" }]);
  process.liveness = { ok: false, reason: "the consumer has crashed" };
  assert.deepEqual(await get("/livez"), [503, { status: "unavailable", reason: "the consumer has crashed" }]);
});

test("metrics come in Prometheus' text format, the state as JSON", async (t) => {
  const url = await serve(t, observed());
  const metrics = await fetch(`${url}/metrics`);
  assert.match(metrics.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  assert.ok(parseExposition(await metrics.text()).families.size > 20);
  const state = await fetch(`${url}/state`);
  assert.match(state.headers.get("content-type") ?? "", /^application\/json/);
  assert.equal(state.headers.get("cache-control"), "no-store");
  assert.deepEqual(await state.json(), { phase: "active", environments: [], pausing: { by: "anybody" } });
});

test("the page and all it loads come with a policy that allows nothing from elsewhere", async (t) => {
  const url = await serve(t, observed());
  const page = await (await fetch(url)).text();
  const assets = [...page.matchAll(/(?:href|src)="(\/console\/[^"]+)"/g)].map(([, path]) => path);
  assert.deepEqual(assets, ["/console/style.css", "/console/main.js"]);
  for (const path of ["/", ...assets]) {
    const { status, headers } = await fetch(url + path);
    assert.equal(status, 200);
    assert.match(
      headers.get("content-security-policy") ?? "",
      /^default-src 'none'; script-src 'self'; style-src/,
    );
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("cache-control"), "no-store");
  }
  for (const path of [
    "/console/",
    "/console/../relay.js",
    "/console/%2e%2e/routes.js",
    "/console/main.js.map",
  ]) {
    assert.equal((await fetch(url + path)).status, 404, path);
  }
});

test("any other path is a 404 that names those there are", async (t) => {
  const response = await fetch(`${await serve(t, observed())}/health`);
  assert.equal(response.status, 404);
  assert.match(await response.text(), /\/metrics, \/livez, \/readyz and \/state/);
});

test("a port in use is refused with the keys to change", async (t) => {
  const { port } = new URL(await serve(t, observed()));
  await assert.rejects(serve(t, observed(), Number(port)), {
    name: "OptoutError",
    code: "configuration",
    message: new RegExp(
      `127\\.0\\.0\\.1:${port} \\(server\\.host, server\\.port\\): another process has it\\. Choose another address or port`,
    ),
  });
});

test("closing doesn't wait for clients that keep their connections", async (t) => {
  const server = await startObservabilityServer(observed(), { host: "127.0.0.1", port: 0 });
  t.after(() => server.close());
  await (await fetch(`${server.url}/livez`)).text();
  const from = performance.now();
  await server.close();
  assert.ok(performance.now() - from < 2_000, "closed at once");
  await assert.rejects(fetch(`${server.url}/livez`));
});
