import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { createMetrics } from "../../src/observability/metrics.ts";
import { startObservabilityServer } from "../../src/observability/server.ts";

const TOKEN = "let-me-in-4711";
const environments = ["production", "us-west"];

interface Reply {
  status: number | undefined;
  headers: IncomingMessage["headers"];
  body: unknown;
}

interface Served {
  /** `127.0.0.1:port` */
  host: string;
  ask(path: string, headers?: Record<string, string>, method?: string, body?: string): Promise<Reply>;
  /** The pauses and resumptions that got through. */
  calls: [environment: string, paused: boolean][];
}

async function serve(
  t: TestContext,
  config: { host?: string; adminToken?: string } = {},
  names = environments,
): Promise<Served> {
  const calls: Served["calls"] = [];
  const server = await startObservabilityServer(
    {
      live: () => ({ ok: true }),
      ready: () => ({ ok: true }),
      state: () => ({}),
      metrics: createMetrics({ version: "1", environments: names }),
      environments: names,
      setPaused(environment, paused) {
        if (!names.includes(environment)) return false;
        calls.push([environment, paused]);
        return true;
      },
    },
    { host: "127.0.0.1", port: 0, ...config },
  );
  t.after(() => server.close());
  const { port } = new URL(server.url);
  return {
    host: `127.0.0.1:${port}`,
    calls,
    // Not fetch, which has a mind of its own about Host and Origin.
    async ask(path, headers = {}, method = "POST", body) {
      const outgoing = request({ host: "127.0.0.1", port, path, method, headers });
      outgoing.end(body);
      const [response]: IncomingMessage[] = await once(outgoing, "response");
      assert.ok(response);
      const said = await text(response);
      return {
        status: response.statusCode,
        headers: response.headers,
        body: said === "" ? undefined : JSON.parse(said),
      };
    },
  };
}

const messageIn = ({ body }: Reply): string =>
  typeof body === "object" && body !== null && "message" in body ? String(body.message) : "";

test("an environment is paused and resumed, as often as it is asked for, whatever the body", async (t) => {
  const { ask, calls } = await serve(t);
  for (const [action, paused] of [
    ["pause", true],
    ["resume", false],
  ] as const) {
    for (const [headers, body] of [
      [{}, undefined],
      [{ "content-type": "application/json" }, "not even JSON"],
      [{ "content-type": "application/x-www-form-urlencoded" }, ""],
    ] as const) {
      const reply = await ask(`/environments/us-west/${action}`, headers, "POST", body);
      assert.deepEqual([reply.status, reply.body], [200, { environment: "us-west", paused }]);
      assert.deepEqual(calls.pop(), ["us-west", paused]);
    }
  }
  assert.deepEqual(calls, []);
});

test("an unknown environment is a 404 that names those there are", async (t) => {
  const { ask, calls } = await serve(t);
  const reply = await ask("/environments/us-east/pause");
  assert.equal(reply.status, 404);
  assert.deepEqual(reply.body, {
    error: "unknown_environment",
    message: 'there is no environment "us-east"; there are: production, us-west',
  });
  assert.equal((await ask("/environments/constructor/pause")).status, 404);
  assert.equal((await ask("/environments/us-west/stop")).status, 404);
  assert.deepEqual(calls, []);
});

test("any other method is a 405 that allows POST, and changes nothing", async (t) => {
  const { ask, calls } = await serve(t);
  for (const action of ["pause", "resume"]) {
    for (const method of ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      const reply = await ask(`/environments/us-west/${action}`, {}, method);
      assert.deepEqual([reply.status, reply.headers.allow], [405, "POST"], method);
    }
  }
  assert.deepEqual(calls, []);
});

test("with a token it is asked for always, and only that very one passes", async (t) => {
  const { ask, calls, host } = await serve(t, { adminToken: TOKEN });
  const wrong = [
    {},
    { authorization: "" },
    { authorization: "Bearer" },
    { authorization: "Bearer " },
    { authorization: TOKEN },
    { authorization: `Basic ${TOKEN}` },
    { authorization: `Bearer ${TOKEN.slice(0, -1)}` },
    { authorization: `Bearer ${TOKEN}x` },
    { authorization: `Bearer ${TOKEN.toUpperCase()}` },
    { "x-api-key": TOKEN },
    { origin: `http://${host}`, "sec-fetch-site": "same-origin" },
  ];
  for (const headers of wrong) {
    // Who isn't let in doesn't learn the names either.
    for (const path of ["/environments/us-west/pause", "/environments/us-east/resume"]) {
      const reply = await ask(path, headers);
      assert.equal(reply.status, 401, JSON.stringify(headers));
      assert.equal(reply.headers["www-authenticate"], 'Bearer realm="optout"');
      assert.match(messageIn(reply), /server\.adminToken/);
      assert.doesNotMatch(JSON.stringify(reply.body), new RegExp(`${TOKEN}|production`, "i"));
    }
  }
  assert.deepEqual(calls, []);
  assert.equal((await ask("/environments/us-west/pause", { authorization: `Bearer ${TOKEN}` })).status, 200);
  assert.equal((await ask("/environments/us-west/resume", { authorization: `bearer ${TOKEN}` })).status, 200);
  const fromElsewhere = {
    authorization: `Bearer ${TOKEN}`,
    host: "relay.example",
    origin: "https://ops.example",
  };
  assert.equal((await ask("/environments/us-west/pause", fromElsewhere)).status, 200);
  assert.equal(calls.length, 3);
});

test("without a token a loopback server takes it from this machine under its own names", async (t) => {
  const { ask, calls, host } = await serve(t);
  const port = host.slice(host.indexOf(":"));
  const own = [
    `127.0.0.1${port}`,
    `localhost${port}`,
    `LOCALHOST${port}`,
    `[::1]${port}`,
    "127.8.9.10",
    "localhost",
  ];
  for (const name of own) {
    const headers = [
      {},
      { origin: `http://${name}` },
      { "sec-fetch-site": "same-origin" },
      { "sec-fetch-site": "none" },
    ];
    for (const more of headers) {
      const reply = await ask("/environments/us-west/pause", { host: name, ...more });
      assert.equal(reply.status, 200, `${name} ${JSON.stringify(more)}`);
    }
  }
  assert.equal(calls.length, own.length * 4);
});

test("without a token no web page from elsewhere gets through, under whatever name it came", async (t) => {
  const { ask, calls, host } = await serve(t);
  const port = host.slice(host.indexOf(":"));
  const pages: Record<string, string>[] = [
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: "" },
    { origin: "http://127.0.0.1:3000" },
    { origin: `http://localhost${port}` },
    { origin: `https://${host}` },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    { "sec-fetch-site": "cross-site", origin: `http://${host}` },
    // DNS rebinding: the page's own name leads to this machine by now.
    { host: "evil.example" },
    { host: `evil.example${port}`, origin: `http://evil.example${port}`, "sec-fetch-site": "same-origin" },
    { host: "127.0.0.1.evil.example" },
    { host: "localhost.evil.example" },
    { host: "127.0.0.1@evil.example" },
    { host: "evil.example#localhost" },
    { host: "notlocalhost" },
    { host: "10.0.0.1" },
    { host: "0.0.0.0" },
    { host: "[::2]" },
  ];
  for (const headers of pages) {
    const reply = await ask("/environments/us-west/pause", headers);
    assert.equal(reply.status, 403, JSON.stringify(headers));
    assert.match(messageIn(reply), /server\.adminToken/);
  }
  assert.deepEqual(calls, []);
});

test("without a token a server that listens beyond this machine refuses even this machine", async (t) => {
  const { ask, calls } = await serve(t, { host: "0.0.0.0" });
  const reply = await ask("/environments/us-west/pause");
  assert.equal(reply.status, 403);
  assert.match(messageIn(reply), /listens beyond this machine.*set server\.adminToken/);
  assert.deepEqual(calls, []);
});

test("with a token a server that listens beyond this machine takes it", async (t) => {
  const { ask, calls } = await serve(t, { host: "0.0.0.0", adminToken: TOKEN });
  const reply = await ask("/environments/us-west/pause", {
    host: "relay:9464",
    authorization: `Bearer ${TOKEN}`,
  });
  assert.equal(reply.status, 200);
  assert.deepEqual(calls, [["us-west", true]]);
});

test("a name that leads to this machine is as good as its address", async (t) => {
  const { ask, calls } = await serve(t, { host: "localhost" });
  assert.equal((await ask("/environments/us-west/pause")).status, 200);
  assert.deepEqual(calls, [["us-west", true]]);
});
