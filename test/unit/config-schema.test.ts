import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { parseConfig } from "../../src/config/load.ts";

const environment = (more = {}) => ({
  name: "production",
  baseUrl: "https://api.example.com",
  auth: { clientId: "a", clientSecret: "b" },
  ...more,
});

const configOf = (more: object) => ({ kafka: { brokers: ["a:1"] }, environments: [environment()], ...more });

const problemsOf = (more: object): string[] => {
  try {
    parseConfig(configOf(more));
  } catch (error) {
    const [, ...lines] = error instanceof Error ? error.message.split("\n") : [];
    return lines.map((line) => line.trim());
  }
  return [];
};

/** Asserts that there's exactly one problem. */
const problemOf = (more: object): string => {
  const problems = problemsOf(more);
  assert.equal(problems.length, 1, problems.join("\n"));
  return problems[0] ?? "";
};

const inEnvironment = (more: object): object => ({ environments: [environment(more)] });

test("brokers are a list of host:port", () => {
  for (const broker of [
    "a",
    ":1",
    "a:",
    "a:0",
    "a:65536",
    "a:99999",
    "http://a:1",
    "a:1/x",
    "[::1]:9092",
    "-a:1",
    "a b:1",
    "a:1,b:2",
    5,
  ]) {
    assert.match(
      problemOf({ kafka: { brokers: [broker] } }),
      /^kafka\.brokers\[0\] = .*: expected host:port/,
    );
  }
  for (const broker of ["a:1", "a.b-c_d.example:65535", "10.0.0.1:9092"]) {
    assert.deepEqual(problemsOf({ kafka: { brokers: [broker] } }), []);
  }
  assert.match(
    problemOf({ kafka: { brokers: [] } }),
    /kafka\.brokers = a list of 0: expected at least one host:port/,
  );
  assert.match(
    problemOf({ kafka: { brokers: "a:1" } }),
    /kafka\.brokers = "a:1": expected a list of host:port/,
  );
});

test("durations have a unit and are within sane bounds", () => {
  const wrong: [unknown, RegExp][] = [
    [10, /= 10: the unit is missing: expected a duration from 1s to 30m/],
    ["10", /= "10": the unit is missing: expected/],
    ["", /= "": expected a duration/],
    ["-5s", /= "-5s": expected a duration/],
    [Number.NaN, /= NaN: the unit is missing/],
    ["0s", /= "0s": expected a duration from 1s/],
    ["31m", /= "31m": expected a duration from 1s to 30m/],
    [null, /= null: expected a duration/],
    [["10s"], /= a list of 1: expected a duration/],
  ];
  for (const [sessionTimeout, expected] of wrong) {
    assert.match(problemOf({ kafka: { brokers: ["a:1"], sessionTimeout } }), expected);
  }
  for (const key of ["requestTimeout", "retry.initialBackoff", "retry.maxBackoff"]) {
    const [outer = "", inner] = key.split(".");
    const value = inner ? { initialBackoff: "1ms", [inner]: "0ms" } : "0s";
    assert.match(problemsOf(inEnvironment({ [outer]: value }))[0] ?? "", /expected a duration/);
  }
  assert.match(problemOf({ batching: { maxWait: "0ms" } }), /expected a duration from 1ms to 1h/);
});

test("sizes have a unit and are within sane bounds", () => {
  assert.match(
    problemOf({ batching: { maxBytes: 1_048_576 } }),
    /the unit is missing: expected a size from 1KiB to 16MiB/,
  );
  assert.match(problemOf({ batching: { maxBytes: "1MB" } }), /expected a size .* with B, KiB or MiB/);
  assert.match(problemOf({ batching: { maxBytes: "1023B" } }), /expected a size from 1KiB/);
  assert.match(problemOf({ batching: { maxBytes: "1GiB" } }), /expected a size from 1KiB to 16MiB/);
});

test("text that YAML read as a number or boolean is to be quoted", () => {
  assert.match(
    problemOf({ kafka: { brokers: ["a:1"], clientId: 123 } }),
    /kafka\.clientId = 123: .*; put it in quotes/,
  );
  assert.match(problemOf(inEnvironment({ name: true })), /name = true: .*; put it in quotes/);
  assert.match(
    problemOf(inEnvironment({ auth: { clientId: "a", clientSecret: 123456 } })),
    /^environments\[0\]\.auth\.clientSecret = \*\*\*: expected a secret on one line, not empty; put it in quotes$/,
  );
});

test("numbers are whole where they count things, and bounded", () => {
  assert.match(problemOf({ batching: { maxEntries: 0 } }), /expected a whole number from 1 to 1000/);
  assert.match(problemOf({ batching: { maxEntries: 2.5 } }), /expected a whole number/);
  assert.match(problemOf({ server: { port: 65_536 } }), /expected a whole number from 0 to 65535/);
  assert.match(problemOf({ server: { port: "80" } }), /without quotes$/);
  assert.match(problemOf(inEnvironment({ requestsPerSecond: 0 })), /expected a number from 0\.01/);
  assert.match(
    problemOf(inEnvironment({ requestsPerSecond: Number.POSITIVE_INFINITY })),
    /= Infinity: expected a number/,
  );
  assert.equal(
    parseConfig(configOf(inEnvironment({ requestsPerSecond: 0.5 }))).environments[0]?.requestsPerSecond,
    0.5,
  );
});

test("base URLs lose trailing slashes and may hold a path, but no query, fragment or credentials", () => {
  const baseUrlOf = (baseUrl: string) =>
    parseConfig(configOf(inEnvironment({ baseUrl }))).environments[0]?.baseUrl;
  assert.equal(baseUrlOf("https://API.example.com/"), "https://api.example.com");
  assert.equal(baseUrlOf("http://127.0.0.1:9099/us-west//"), "http://127.0.0.1:9099/us-west");
  const wrong: [unknown, RegExp][] = [
    ["api.example.com", /= "api\.example\.com": expected an http:\/\/ or https:\/\/ URL such as/],
    ["ftp://x", /expected an http/],
    ["https://", /expected an http/],
    ["https://a b", /expected an http/],
    ["https://x/?key=hunter2", /= "https:\/\/x\/\?\*\*\*": .* without a \?query/],
    ["https://x/#y", /without a #fragment/],
    ["https://me:hun/t@er2@x", /= "https:\/\/\*\*\*@x": /],
    [5, /expected an http/],
  ];
  for (const [baseUrl, expected] of wrong) {
    const problem = problemOf(inEnvironment({ baseUrl }));
    assert.match(problem, expected);
    assert.doesNotMatch(problem, /hunter2|er2/);
  }
});

test("names of environments are short, plain and unique", () => {
  for (const name of ["", "a b", "-a", "é", "a/b", "a".repeat(64)]) {
    assert.match(problemOf(inEnvironment({ name })), /expected a short name of letters, digits, - and _/);
  }
  assert.deepEqual(
    problemsOf({ environments: [environment({ name: "a" }), environment(), environment({ name: "a" })] }),
    ['environments[2].name = "a": expected a unique name: environments[0] has this one'],
  );
  assert.match(
    problemOf({ environments: [] }),
    /environments = a list of 0: expected at least one environment/,
  );
  assert.match(
    problemOf({ environments: { production: {} } }),
    /environments = a mapping: expected a list of environments/,
  );
});

test("contradictions are reported beside plain mistakes", () => {
  const problems = problemsOf({
    kafka: { brokers: ["a"], ssl: { certFile: "/c.pem", other: 1 } },
    topics: { events: "same", status: "same", deadLetter: "a b" },
    schemaRegistry: { url: "x", username: "u" },
    batching: { maxEntries: 100, maxPendingEntries: 99, maxBytes: 1 },
    environments: [
      environment({ retry: { initialBackoff: "2m", extra: 1 } }),
      environment({ baseUrl: 5, auth: { clientId: "a" } }),
    ],
  });
  const contradictions = [
    "kafka.ssl.keyFile is missing: expected certFile with keyFile: give both or neither",
    'topics.status = "same": expected another topic than topics.events',
    "schemaRegistry.password is missing: expected username with password: give both or neither",
    "batching.maxPendingEntries = 99: expected at least batching.maxEntries (100), or no batch could fill",
    "environments[0].retry.maxBackoff is missing: expected at least retry.initialBackoff (2m)",
    'environments[1].name = "production": expected a unique name: environments[0] has this one',
  ];
  for (const line of contradictions)
    assert.ok(problems.includes(line), `${line}\nnot in\n${problems.join("\n")}`);
  assert.equal(problems.length, contradictions.length + 8);
});

test("a topic that equals another's default is a contradiction too", () => {
  assert.match(
    problemOf({ topics: { events: "opt-out-status" } }),
    /expected another topic than topics\.events/,
  );
});

test("topic names are Kafka's", () => {
  for (const events of ["", ".", "..", "a/b", "a".repeat(250), 7]) {
    assert.match(problemOf({ topics: { events } }), /expected a topic name/);
  }
});

test("regions are those that have phone numbers", () => {
  for (const region of ["us", "USA", "XX", "", "AQ", 1]) {
    assert.match(
      problemOf({ normalization: { defaultRegion: region } }),
      /expected an ISO 3166 region in two capitals/,
    );
    assert.match(
      problemOf({ normalization: { regionBySource: { ivr: region } } }),
      /^normalization\.regionBySource\.ivr = .*: expected an ISO 3166 region/,
    );
  }
  assert.match(
    problemOf({ normalization: { regionBySource: { "call center": "US" } } }),
    /regionBySource\["call center"\] = "US": expected a source as a key/,
  );
  assert.match(
    problemOf({ normalization: { regionBySource: "US" } }),
    /= \*\*\*: expected a mapping|= "US": expected a mapping/,
  );
});

test("SASL needs a known mechanism and that mechanism's keys alone", () => {
  const sasl = (value: unknown) => problemsOf({ kafka: { brokers: ["a:1"], sasl: value } });
  const one = /expected one of: plain, scram-sha-256, scram-sha-512, oauthbearer/;
  assert.match(sasl({})[0] ?? "", new RegExp(`^kafka\\.sasl\\.mechanism is missing: ${one.source}`));
  assert.match(sasl({ mechanism: "gssapi" })[0] ?? "", one);
  assert.match(
    sasl("hunter2")[0] ?? "",
    /^kafka\.sasl = \*\*\*: expected a mapping with the keys mechanism, username/,
  );
  assert.deepEqual(sasl({ mechanism: "plain", username: "u", pasword: "hunter2", clientId: "x" }), [
    "kafka.sasl.password is missing: expected a secret on one line, not empty",
    "kafka.sasl.pasword = ***: unknown key; did you mean password?",
    "kafka.sasl.clientId = ***: unknown key here; it belongs to mechanism: oauthbearer",
  ]);
  assert.deepEqual(sasl({ mechanism: "gssapi", username: 5, pasword: "hunter2" }), [
    'kafka.sasl.mechanism = "gssapi": expected one of: plain, scram-sha-256, scram-sha-512, oauthbearer',
    "kafka.sasl.pasword = ***: unknown key; did you mean password?",
  ]);
  assert.match(
    sasl({ mechanism: "oauthbearer", clientId: "a", clientSecret: "b" })[0] ?? "",
    /tokenUrl is missing/,
  );
});

test("hosts to listen on have no scheme or port", () => {
  for (const host of ["", "http://x", "127.0.0.1:80", "a b", "[::1]"]) {
    assert.match(problemOf({ server: { host } }), /expected a host name or IP address to listen on/);
  }
  for (const host of ["0.0.0.0", "::", "::1", "localhost"])
    assert.deepEqual(problemsOf({ gateway: { host } }), []);
});

test("the origins of web pages are read as browsers write them", () => {
  const originsOf = (origins: string[]) =>
    parseConfig(configOf({ gateway: { cors: { origins } } })).gateway.cors;
  assert.deepEqual(originsOf(["HTTPS://WWW.example.com:443/".slice(0, -1), "http://localhost:3000", "*"]), {
    origins: ["https://www.example.com", "http://localhost:3000", "*"],
  });
  for (const origin of [
    "www.example.com",
    "https://x/",
    "https://x/path",
    "https://a@x",
    "https://*.x",
    "null",
    5,
  ]) {
    assert.match(
      problemOf({ gateway: { cors: { origins: [origin] } } }),
      /^gateway\.cors\.origins\[0\] = .*: expected an origin such as/,
    );
  }
});

test("trusted proxies are addresses or ranges", () => {
  const trustedProxies = ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"];
  assert.deepEqual(problemsOf({ gateway: { trustedProxies } }), []);
  for (const range of ["proxy", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "::1/129", "0.0.0.0/-1", 5]) {
    assert.match(
      problemOf({ gateway: { trustedProxies: [range] } }),
      /^gateway\.trustedProxies\[0\] = .*: expected an IP address, or a range of them/,
    );
  }
});

test("choices list what there is", () => {
  assert.match(
    problemOf({ logging: { level: "verbose" } }),
    /= "verbose": expected one of: trace, debug, info/,
  );
  assert.match(problemOf({ logging: { format: "pretty" } }), /expected one of: json, text/);
  assert.match(
    problemOf(inEnvironment({ dialect: "fax" })),
    /^environments\[0\]\.dialect = "fax": expected one of: compliance-dnc, admin-dnc-groups$/,
  );
});

test("an unknown key is refused with the nearest known one, or that of the same name elsewhere, or all there are", () => {
  assert.match(problemOf({ kafak: {} }), /^kafak = a mapping: unknown key; did you mean kafka\?/);
  assert.match(problemOf({ batching: { max_entries: 5 } }), /did you mean maxEntries\?/);
  assert.match(
    problemOf({ brokers: ["a:1"] }),
    /^brokers = a list of 1: unknown key; did you mean kafka\.brokers\?/,
  );
  assert.match(problemOf({ maxConcurrency: 5 }), /did you mean environments\[…\]\.maxConcurrency\?/);
  assert.match(
    problemOf({ logging: { tls: true } }),
    /^logging\.tls = \*\*\*: unknown key; the keys here are level, format, phoneHashSecret$/,
  );
  assert.match(problemOf({ constructor: 1 }), /^constructor = 1: unknown key/);
});

test("no value that may be a secret is ever shown", () => {
  const problems = problemsOf({
    password: "hunter2",
    pasword: "hunter2",
    ApiKey: ["hunter2"],
    pw: "hunter2",
    gateway: { apiKeys: ["hunter 2"], keys: "hunter2" },
    schemaRegistry: { url: "http://a", username: "u", password: "hunter2\n", pass: "hunter2" },
    environments: [
      environment({ auth: { clientId: "a", clientSecret: "hunter2\n", key: "hunter2" } }),
      "hunter2",
    ],
    kafka: "hunter2",
  });
  assert.doesNotMatch(problems.join("\n"), /hunter/);
  assert.equal(problems.length, 12);
});

test("values and keys are shown on one line, printable and short", () => {
  const ugly = "a\n\u001b[31m\u202e\u2028\u0000";
  const problem = problemOf({ logging: { level: ugly + "x".repeat(500) } });
  assert.match(problem, /^[\x20-\x7e…]+$/);
  assert.ok(problem.length < 300, problem);
  assert.match(problemOf({ [ugly]: 1 }), /^\["a\\n\\u001b\[31m\\u\{202e\}/);
});

test("thousands of problems make a message of bearable length that says how many there are", () => {
  const raw = Object.fromEntries(Array.from({ length: 3_000 }, (_, index) => [`nothing-${index}`, index]));
  assert.throws(
    () => parseConfig(configOf(raw)),
    ({ message }: Error) => {
      const lines = message.split("\n");
      assert.match(lines[0] ?? "", /has 3000 problems:$/);
      assert.match(lines.at(-1) ?? "", /… and 2900 more/);
      return lines.length === 102;
    },
  );
});

test("a configuration that is no mapping is refused as a whole", () => {
  for (const raw of ["kafka", 5, [], true]) {
    assert.throws(() => parseConfig(raw), /has 1 problem:\n {2}the top level: expected a mapping/);
  }
});

test("the published JSON Schema is that of the code (OPTOUT_TEST_UPDATE=1 writes it anew)", () => {
  const file = resolve("schemas/config.schema.json");
  if (process.env.OPTOUT_TEST_UPDATE) writeFileSync(file, `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
  assert.deepEqual(JSON.parse(readFileSync(file, "utf8")), JSON.parse(JSON.stringify(configJsonSchema())));
});
