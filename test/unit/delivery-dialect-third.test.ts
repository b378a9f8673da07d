import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import { z } from "zod";
import { name, secret, whole } from "../../src/config/fields.ts";
import { parseConfig, redactConfig } from "../../src/config/load.ts";
import { failureOf, isSuccess, jsonOf } from "../../src/delivery/dialects/answers.ts";
import type { DialectDefinition } from "../../src/delivery/dialects/dialect.ts";
import { dialects as builtIn } from "../../src/delivery/dialects/index.ts";
import { createEnvironment } from "../../src/delivery/environment.ts";
import type { PartOutcome } from "../../src/delivery/lane.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { createRelay } from "../../src/relay/relay.ts";
import { SCOPE } from "./batching-arbitraries.ts";
import { batchOf } from "./delivery-lane-fixture.ts";

/** An API that takes one number a line, and needs no token server: all that a third dialect takes is here. */
const keys = {
  list: name("a list"),
  linesPerCall: whole(1, 10).default(2),
  auth: z.strictObject({ apiKey: secret() }),
};

const lineByLine: DialectDefinition<"line-by-line", typeof keys> = {
  name: "line-by-line",
  keys,
  create: ({ environment, auth, now }) => ({
    maxEntries: environment.linesPerCall,
    scope: undefined,
    async requestToken() {
      return { ok: true, token: { value: auth().apiKey, lifetime: undefined } };
    },
    async submit(send, { key, entries, token }, signal) {
      const response = await send({
        method: "POST",
        url: `${environment.baseUrl}/lists/${environment.list}`,
        headers: { "x-api-key": token, "idempotency-key": key },
        body: entries.map(({ phone }) => phone).join("\n"),
        signal,
      });
      const taken = z.object({ lines: z.int() }).safeParse(jsonOf(response)).data?.lines;
      const isWhole = isSuccess(response) && taken === entries.length;
      const otherwise = isSuccess(response) ? { kind: "short" as const } : failureOf(response, now());
      return {
        verdict: isWhole ? { kind: "acknowledged" } : otherwise,
        httpStatus: response.status,
        requestId: null,
      };
    },
  }),
};

const dialects = [...builtIn, lineByLine];

const configOf = (environment: object, env: NodeJS.ProcessEnv = {}) =>
  parseConfig({ kafka: { brokers: ["127.0.0.1:1"] }, environments: [environment] }, { dialects, env });

const serve = async (t: TestContext, answer: (request: IncomingMessage, body: string) => object) => {
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    response.end(JSON.stringify(answer(request, body)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return `http://127.0.0.1:${address.port}`;
};

const environmentAt = (baseUrl: string) => ({
  name: "third",
  dialect: "line-by-line",
  baseUrl,
  list: "optouts",
  auth: { apiKey: "hunter2" },
});

test("a third dialect is configured by its own keys, and delivers, with no change elsewhere", async (t) => {
  const received: { path: string | undefined; key: unknown; lines: string[] }[] = [];
  const baseUrl = await serve(t, (request, body) => {
    const lines = body.split("\n");
    received.push({ path: request.url, key: request.headers["x-api-key"], lines });
    return { lines: lines.length };
  });
  const [config] = configOf(environmentAt(baseUrl)).environments;
  assert.ok(config?.dialect === "line-by-line");
  const linesPerCall: number = config.linesPerCall;
  assert.equal(linesPerCall, 2);

  const environment = createEnvironment({
    config,
    dialects,
    auth: () => ({ apiKey: "rotated" }),
    events: { onAttempt() {}, onRateWait() {}, onDefect: assert.fail, onTokenRefresh() {} },
    logger: silentLogger(),
    maySend: () => true,
  });
  t.after(() => environment.close());
  environment.lane.setShare(1);
  const batch = batchOf(4);
  const outcomes = await new Promise<PartOutcome[]>((done) => {
    const onSplit = (_: unknown, recorded?: () => void) => recorded?.();
    environment.lane.deliver({ scope: SCOPE, batch, split: "pending", onSplit, done });
  });

  assert.ok(outcomes.every(({ accepted, httpStatus }) => accepted && httpStatus === 200));
  assert.deepEqual(
    received.flatMap(({ lines }) => lines).sort(),
    batch.entries.map(({ phone }) => phone).sort(),
  );
  for (const { path, key, lines } of received) {
    assert.deepEqual([path, key, lines.length], ["/lists/optouts", "rotated", 2]);
  }
});

test("its keys are checked, coerced and masked like any others", () => {
  const environment = environmentAt("http://127.0.0.1");
  const env = {
    OPTOUT_ENVIRONMENTS__0__LINES_PER_CALL: "7",
    OPTOUT_ENVIRONMENTS__0__AUTH__API_KEY: "hunter3",
  };
  const config = configOf(environment, env);
  assert.ok(config.environments[0]?.dialect === "line-by-line");
  assert.equal(config.environments[0].linesPerCall, 7);
  assert.doesNotMatch(JSON.stringify(redactConfig(config)), /hunter/);
  assert.throws(() => configOf({ ...environment, lnesPerCall: 7, auth: { apiKey: "" } }), {
    message: [
      "The configuration has 2 problems:",
      "  environments[0].auth.apiKey = ***: expected a secret on one line, not empty",
      "  environments[0].lnesPerCall = 7: unknown key; did you mean linesPerCall?",
    ].join("\n"),
  });
  assert.throws(() => configOf({ ...environment, dialect: "fax" }), {
    message: /expected one of: compliance-dnc, admin-dnc-groups, line-by-line$/,
  });
  assert.throws(() => parseConfig({ kafka: { brokers: ["a:1"] }, environments: [environment] }), {
    message: /dialect = "line-by-line": expected one of: compliance-dnc, admin-dnc-groups$/m,
  });
});

test("a relay takes it too", async () => {
  const options = { dialects, logger: silentLogger(), version: "test" };
  const config = configOf(environmentAt("http://127.0.0.1"));
  const relay = createRelay(config, options);
  assert.deepEqual(
    relay.state().environments.map(({ name }) => name),
    ["third"],
  );
  await relay.stop();
  assert.throws(() => createRelay(config, { logger: silentLogger(), version: "test" }), {
    message: /has the dialect "line-by-line", which is none of: compliance-dnc, admin-dnc-groups/,
  });
});
