import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Command } from "commander";
import { configFrom, withConfigOption } from "../../src/commands/options.ts";
import { loadConfig, parseConfig, redactConfig } from "../../src/config/load.ts";
import { OptoutError } from "../../src/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "optout-config-"));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
function fileOf(content: string | Buffer, extension = "yaml"): string {
  const path = join(folder, `${++files}.${extension}`);
  writeFileSync(path, content);
  return path;
}

const contractExample = `
kafka:
  brokers: [localhost:9092]
  clientId: optout-relay
  groupId: optout-relay
  ssl: false                      # or {caFile, certFile, keyFile, servername, rejectUnauthorized}
  sasl: {mechanism: scram-sha-512, username: relay, password: "\${KAFKA_PASSWORD}"}   # plain, scram-sha-256/512, oauthbearer
  sessionTimeout: 10s
topics: {events: opt-out-events, status: opt-out-status, deadLetter: opt-out-dead-letter}
schemaRegistry: {url: "http://localhost:8081", username: registry-user, password: registry-pass}   # absent: JSON only
normalization: {defaultRegion: US, regionBySource: {}}
batching: {maxEntries: 50, maxWait: 10s, maxBytes: 1MiB, maxPendingEntries: 50000}   # the last per partition
environments:
  - name: production
    baseUrl: https://api.nice.incontact.com
    dialect: compliance-dnc
    auth: {clientId: relay-client, clientSecret: relay-secret, scope: dnc:write}        # tokenUrl optional
    requestsPerSecond: 100        # this tenant's quota, over all relay replicas together
    maxConcurrency: 64
    requestTimeout: 30s
    retry: {initialBackoff: 500ms, maxBackoff: 60s}
server: {host: 127.0.0.1, port: 9464}
gateway: {host: 127.0.0.1, port: 8080, apiKeys: []}
logging: {level: info, format: json}
`;

/** The least a configuration must say; everything else is the default. */
const minimal = () => ({
  kafka: { brokers: ["localhost:9092"] },
  environments: [
    {
      name: "production",
      baseUrl: "https://api.nice.incontact.com",
      auth: { clientId: "relay-client", clientSecret: "relay-secret" },
    },
  ],
});

const ref = (inside: string): string => `\${${inside}}`;

const noRegions: Record<string, never> = Object.create(null);

const defaults = {
  kafka: {
    brokers: ["localhost:9092"],
    clientId: "optout-relay",
    groupId: "optout-relay",
    ssl: false,
    sessionTimeout: 10_000,
  },
  topics: { events: "opt-out-events", status: "opt-out-status", deadLetter: "opt-out-dead-letter" },
  normalization: { defaultRegion: "US", regionBySource: noRegions },
  batching: { maxEntries: 50, maxWait: 10_000, maxBytes: 1_048_576, maxPendingEntries: 50_000 },
  environments: [
    {
      name: "production",
      baseUrl: "https://api.nice.incontact.com",
      dialect: "compliance-dnc",
      auth: { clientId: "relay-client", clientSecret: "relay-secret", scope: "dnc:write" },
      requestsPerSecond: 100,
      maxConcurrency: 64,
      requestTimeout: 30_000,
      retry: { initialBackoff: 500, maxBackoff: 60_000 },
    },
  ],
  server: { host: "127.0.0.1", port: 9464 },
  gateway: {
    host: "127.0.0.1",
    port: 8080,
    apiKeys: [],
    requestsPerSecond: 1_000,
    trustedProxies: [],
    cors: { origins: [] },
  },
  logging: { level: "info", format: "json" },
};

/** The lines of the one message that a refused configuration gives, without the headline. */
function refusal(load: () => unknown): string[] {
  try {
    load();
  } catch (error) {
    assert.ok(error instanceof OptoutError, String(error));
    assert.equal(error.code, "configuration");
    return error.message
      .split("\n")
      .slice(1)
      .map((line) => line.trim());
  }
  assert.fail("the configuration was not refused");
}

test("the contract's example parses to milliseconds, bytes and the values it shows", () => {
  const config = loadConfig({ file: fileOf(contractExample), env: { KAFKA_PASSWORD: "p@ss: #1" } });
  assert.deepEqual(config, {
    ...defaults,
    kafka: {
      ...defaults.kafka,
      sasl: { mechanism: "scram-sha-512", username: "relay", password: "p@ss: #1" },
    },
    schemaRegistry: {
      url: "http://localhost:8081",
      username: "registry-user",
      password: "registry-pass",
      requestTimeout: 5_000,
    },
  });
});

test("the least configuration gets the contract's defaults", () => {
  assert.deepEqual(parseConfig(minimal()), defaults);
});

test("JSON is read like YAML, tabs and all", () => {
  const json = JSON.stringify(minimal(), null, "\t");
  assert.deepEqual(loadConfig({ file: fileOf(json, "json"), env: {} }), defaults);
});

test("an environment can repeat another by anchor and merge", () => {
  const yaml = `
kafka: {brokers: [localhost:9092]}
environments:
  - &first
    name: us
    baseUrl: https://us.example.com/
    auth: {clientId: a, clientSecret: b}
    requestsPerSecond: 7
  - <<: *first
    name: eu
    baseUrl: https://eu.example.com/cxone//
`;
  const { environments } = loadConfig({ file: fileOf(yaml), env: {} });
  assert.deepEqual(
    environments.map(({ name, baseUrl, requestsPerSecond }) => ({ name, baseUrl, requestsPerSecond })),
    [
      { name: "us", baseUrl: "https://us.example.com", requestsPerSecond: 7 },
      { name: "eu", baseUrl: "https://eu.example.com/cxone", requestsPerSecond: 7 },
    ],
  );
});

test("oauthbearer and mutual TLS are understood", () => {
  const kafka = {
    brokers: ["a:9092", "10.0.0.1:1"],
    ssl: { caFile: "/ca.pem", certFile: "/cert.pem", keyFile: "/key.pem" },
    sasl: { mechanism: "oauthbearer", tokenUrl: "https://idp/token?x=1", clientId: "a", clientSecret: "b" },
  };
  const config = parseConfig({ ...minimal(), kafka });
  assert.deepEqual(config.kafka, {
    ...defaults.kafka,
    ...kafka,
    ssl: { ...kafka.ssl, rejectUnauthorized: true },
  });
});

test("the region of a source named like an inherited property is not found", () => {
  const { regionBySource } = parseConfig({
    ...minimal(),
    normalization: { regionBySource: { ivr: "CA" } },
  }).normalization;
  assert.equal(regionBySource.ivr, "CA");
  assert.equal(regionBySource.constructor, undefined);
});

test("a key that is undefined counts as absent, for those who embed", () => {
  assert.deepEqual(
    parseConfig({ ...minimal(), schemaRegistry: undefined, server: { port: undefined } }),
    defaults,
  );
});

test("parsing leaves its input alone and shares nothing with it", () => {
  const input = minimal();
  const config = parseConfig(input, { env: { OPTOUT_KAFKA__BROKERS: "b:1" } });
  assert.deepEqual(input, minimal());
  assert.deepEqual(config.kafka.brokers, ["b:1"]);
});

test("without a file and without variables the message says what is missing and how to give it", () => {
  const message = (() => {
    try {
      loadConfig({ env: {} });
    } catch (error) {
      return String(error);
    }
    return "";
  })();
  assert.match(
    message,
    /No configuration file was named \(--config FILE or OPTOUT_CONFIG\).* has 2 problems/,
  );
  assert.match(message, /kafka is missing: expected a mapping with the keys brokers,/);
  assert.match(message, /environments is missing: expected a list of environments, at least one/);
});

test("an empty file is an empty configuration", () => {
  assert.equal(refusal(() => loadConfig({ file: fileOf("# nothing\n"), env: {} })).length, 2);
});

test("a file that can't be read says why and which option names it", () => {
  const cases: [string, RegExp][] = [
    [join(folder, "absent.yaml"), /absent\.yaml": there is no such file; .*--config or OPTOUT_CONFIG/],
    [folder, /it is a folder/],
    ["/dev/null", /it is not a regular file/],
    [fileOf(Buffer.from([0x61, 0xff, 0xfe])), /it is not UTF-8 text/],
    [fileOf("#".repeat(1_048_577)), /it is larger than 1 MiB/],
  ];
  for (const [file, expected] of cases) {
    assert.throws(() => loadConfig({ file, env: {} }), { code: "configuration", message: expected });
  }
});

test("every problem of the file, the interpolation and the environment is in one message, each with its place", () => {
  const yaml = `kafka:
  brokers: [localhost]
  sesionTimeout: 5s
  ssl: "yes"
batching: {maxWait: 10}
environments:
  - name: production
    baseUrl: https://api.example.com
    auth: {clientId: a, clientSecret: "\${ABSENT}"}
    requestsPerSecond: "100"
`;
  const env = { OPTOUT_SERVER__PORT: "http", OPTOUT_KAFKA_BROKERS: "a:1" };
  assert.deepEqual(
    refusal(() => loadConfig({ file: fileOf(yaml), env })),
    [
      "OPTOUT_KAFKA_BROKERS: sets no key; did you mean OPTOUT_KAFKA__BROKERS?",
      "environments[0].auth.clientSecret = *** (line 9): the environment variable ABSENT is not set",
      'kafka.brokers[0] = "localhost" (line 2): expected host:port, such as "localhost:9092" (a name or an IPv4 address)',
      'kafka.ssl = "yes" (line 4): expected true, false or a mapping with caFile, certFile, keyFile, servername, rejectUnauthorized',
      'kafka.sesionTimeout = "5s" (line 3): unknown key; did you mean sessionTimeout?',
      'batching.maxWait = 10 (line 5): the unit is missing: expected a duration from 1ms to 1h, a whole number with ms, s, m or h, such as "10s"',
      'environments[0].requestsPerSecond = "100" (line 10): expected a number from 0.01 to 10000, without quotes',
      'server.port = "http" (from OPTOUT_SERVER__PORT): expected a whole number from 0 to 65535 (0 takes any free port)',
    ],
  );
});

test("a command takes its configuration from --config, else from OPTOUT_CONFIG, else from the environment alone", () => {
  const one = fileOf(JSON.stringify({ ...minimal(), logging: { level: "warn" } }));
  const two = fileOf(JSON.stringify({ ...minimal(), logging: { level: "error" } }));
  const levelOf = (argv: string[], env: NodeJS.ProcessEnv): string => {
    const command = withConfigOption(new Command("relay")).exitOverride();
    command.parse(argv, { from: "user" });
    return configFrom(command.opts(), env).logging.level;
  };
  assert.equal(levelOf(["-c", one], { OPTOUT_CONFIG: two }), "warn");
  assert.equal(levelOf(["--config", two], {}), "error");
  assert.equal(levelOf([], { OPTOUT_CONFIG: two }), "error");
  assert.equal(
    levelOf([], {
      OPTOUT_CONFIG: "",
      OPTOUT_KAFKA__BROKERS: "a:1",
      OPTOUT_ENVIRONMENTS: JSON.stringify(minimal().environments),
    }),
    "info",
  );
  assert.match(withConfigOption(new Command()).helpInformation(), /-c, --config <file>.*OPTOUT_CONFIG/s);
});

test("a redacted configuration shows no secret and nothing that was interpolated", () => {
  const raw = {
    ...minimal(),
    kafka: {
      brokers: [`${ref("HOST")}:9092`],
      sasl: { mechanism: "plain", username: "relay", password: "hunter2" },
    },
    gateway: { apiKeys: ["hunter3", "hunter4"] },
    server: { port: ref("PORT") },
  };
  const config = parseConfig(raw, { env: { HOST: "hunter5", PORT: "4711" } });
  assert.equal(config.server.port, 4711);
  const shown = JSON.stringify(redactConfig(config));
  assert.doesNotMatch(shown, /hunter|relay-secret|4711/);
  assert.match(shown, /"username":"relay"/);
  assert.match(shown, /"apiKeys":\["\*\*\*","\*\*\*"\]/);
  assert.match(shown, /"maxWait":10000/);
});
