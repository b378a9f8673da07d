import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createRelay, type DialectDefinition, OptoutError, type RelayConfig, z } from "../../src/index.ts";
import { silentLogger } from "../../src/observability/logger.ts";

const keys = { list: z.string(), auth: z.strictObject({ apiKey: z.string() }) };
const dialectCalled = <Name extends string>(name: Name): DialectDefinition<Name, typeof keys> => ({
  name,
  keys,
  create: () => ({
    maxEntries: 100,
    scope: undefined,
    requestToken: async () => ({ ok: true, token: { value: "t", lifetime: undefined } }),
    submit: async () => ({ verdict: { kind: "acknowledged" }, httpStatus: 204, requestId: null }),
  }),
});
const lines = dialectCalled("line-by-line");

const config: RelayConfig<typeof lines> = {
  kafka: { brokers: ["127.0.0.1:1"] },
  environments: [
    {
      name: "lists",
      dialect: "line-by-line",
      baseUrl: "http://127.0.0.1:1",
      list: "a",
      auth: { apiKey: "k" },
    },
    { name: "production", baseUrl: "http://127.0.0.1:1", auth: { clientId: "a", clientSecret: "b" } },
  ],
};

const codeOf = (make: () => unknown): string => {
  try {
    make();
  } catch (error) {
    assert.ok(error instanceof OptoutError);
    return `${error.code}: ${error.message}`;
  }
  return "nothing thrown";
};

describe("a relay within another program", () => {
  test("has environments of its own dialects beside those of the built-in ones", async () => {
    await using relay = createRelay({ config, dialects: [lines], logger: silentLogger() });
    assert.deepEqual(relay.environments, ["lists", "production"]);
    assert.deepEqual(relay.ready(), { ok: false, reason: "starting" });
    assert.deepEqual(relay.live(), { ok: true });
    assert.match(await relay.metrics(), /^optout_environment_lane_open\{environment="lists"\} 1$/m);
    assert.equal(relay.setPaused("nobody", true), false);
  });

  test("can be stopped twice, and before it was started", async () => {
    const relay = createRelay({ config, dialects: [lines], logger: silentLogger() });
    await Promise.all([relay.stop(), relay.stop()]);
    await relay[Symbol.asyncDispose]();
    assert.deepEqual(relay.ready(), { ok: false, reason: "stopped" });
  });

  test("is refused with all that is wrong in its configuration, by the keys of its dialect too", () => {
    const [lists] = config.environments;
    assert.ok(lists !== undefined);
    const wrong: object = { ...config, environments: [{ ...lists, list: 7 }, { name: "other" }] };
    const said = codeOf(() => createRelay({ config: wrong as typeof config, dialects: [lines] }));
    assert.match(said, /^configuration: [\s\S]*environments\[0\]\.list[\s\S]*environments\[1\]\.baseUrl/);
  });

  test("can't have a dialect under a name that is taken", () => {
    const mine = dialectCalled("compliance-dnc");
    assert.match(
      codeOf(() => createRelay({ config, dialects: [lines, mine] })),
      /^configuration: There are two dialects called "compliance-dnc"/,
    );
  });

  test("takes secrets from variables only if it is given them", () => {
    const reference = ["$", "{KEY}"].join("");
    const secret: typeof config = {
      ...config,
      schemaRegistry: { url: "http://127.0.0.1:1", username: "a", password: reference },
    };
    assert.match(
      codeOf(() => createRelay({ config: secret, dialects: [lines] })),
      /KEY is not set/,
    );
    const env = { KEY: "s3cret" };
    assert.equal(
      codeOf(() => createRelay({ config: secret, dialects: [lines], env, logger: silentLogger() })),
      "nothing thrown",
    );
  });
});
