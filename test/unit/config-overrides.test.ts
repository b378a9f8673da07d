import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig, parseConfig } from "../../src/config/load.ts";

const base = () => ({
  kafka: { brokers: ["localhost:9092"] },
  normalization: { regionBySource: { "web-Form": "US" } },
  environments: [
    { name: "a", baseUrl: "http://localhost:9099/a", auth: { clientId: "a", clientSecret: "in-the-file" } },
  ],
});

const configOf = (env: NodeJS.ProcessEnv, more = {}) => parseConfig({ ...base(), ...more }, { env });

const problemsOf = (env: NodeJS.ProcessEnv, more = {}): string => {
  try {
    configOf(env, more);
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
  return "";
};

test("the environment alone can be the whole configuration", () => {
  const config = loadConfig({
    env: {
      OPTOUT_KAFKA__BROKERS: "a:9092,b:9092",
      OPTOUT_ENVIRONMENTS__0__NAME: "one",
      OPTOUT_ENVIRONMENTS__0__BASE_URL: "https://one.example.com",
      OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_ID: "id",
      OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET: "secret",
      OPTOUT_ENVIRONMENTS__1__NAME: "two",
      OPTOUT_ENVIRONMENTS__1__BASE_URL: "https://two.example.com",
      OPTOUT_ENVIRONMENTS__1__AUTH__CLIENT_ID: "id",
      OPTOUT_ENVIRONMENTS__1__AUTH__CLIENT_SECRET: "secret",
      OPTOUT_ENVIRONMENTS__1__REQUESTS_PER_SECOND: "2.5",
      OPTOUT_ENVIRONMENTS__1__RETRY__MAX_BACKOFF: "5m",
    },
  });
  assert.deepEqual(config.kafka.brokers, ["a:9092", "b:9092"]);
  assert.deepEqual(
    config.environments.map(({ name }) => name),
    ["one", "two"],
  );
  assert.equal(config.environments[1]?.requestsPerSecond, 2.5);
  assert.equal(config.environments[1]?.retry.maxBackoff, 300_000);
});

test("more than ten environments keep their order", () => {
  const env: NodeJS.ProcessEnv = { OPTOUT_KAFKA__BROKERS: "a:1" };
  for (let index = 11; index >= 0; index--) {
    env[`OPTOUT_ENVIRONMENTS__${index}__NAME`] = `e${index}`;
    env[`OPTOUT_ENVIRONMENTS__${index}__BASE_URL`] = "http://localhost";
    env[`OPTOUT_ENVIRONMENTS__${index}__AUTH__CLIENT_ID`] = "id";
    env[`OPTOUT_ENVIRONMENTS__${index}__AUTH__CLIENT_SECRET`] = "secret";
  }
  const names = loadConfig({ env }).environments.map(({ name }) => name);
  assert.deepEqual(names, ["e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9", "e10", "e11"]);
});

test("a variable wins over the file, whose unresolved reference then doesn't matter", () => {
  const file = base();
  const auth = { clientId: "a", clientSecret: `\${${"ABSENT"}}` };
  const environments = file.environments.map((environment) => ({ ...environment, auth }));
  const config = configOf({ OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET: "from-outside" }, { environments });
  assert.equal(config.environments[0]?.auth.clientSecret, "from-outside");
  assert.equal(config.environments[0]?.auth.clientId, "a");
});

test("a variable's value is taken literally: no interpolation, no trimming of secrets, no numbers where text belongs", () => {
  const literal = ` \${HOME} $\${x},y `;
  const config = configOf({
    OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET: literal,
    OPTOUT_KAFKA__CLIENT_ID: "0123",
  });
  assert.equal(config.environments[0]?.auth.clientSecret, literal);
  assert.equal(config.kafka.clientId, "0123");
});

test("numbers, booleans and lists are read as the schema wants them", () => {
  const config = configOf({
    OPTOUT_SERVER__PORT: "0",
    OPTOUT_KAFKA__SSL: "true",
    OPTOUT_GATEWAY__API_KEYS: "one, two,",
    OPTOUT_BATCHING__MAX_ENTRIES: "7",
    OPTOUT_BATCHING__MAX_BYTES: "2MiB",
  });
  assert.equal(config.server.port, 0);
  assert.equal(config.kafka.ssl, true);
  assert.deepEqual(config.gateway.apiKeys, ["one", "two"]);
  assert.deepEqual([config.batching.maxEntries, config.batching.maxBytes], [7, 2_097_152]);
});

test("an empty list is one, and an item of a list can be set by its index", () => {
  assert.deepEqual(
    configOf({ OPTOUT_GATEWAY__API_KEYS: "" }, { gateway: { apiKeys: ["x"] } }).gateway.apiKeys,
    [],
  );
  const brokers = configOf({ OPTOUT_KAFKA__BROKERS__0: "b:2", OPTOUT_KAFKA__BROKERS__1: "c:3" }).kafka
    .brokers;
  assert.deepEqual(brokers, ["b:2", "c:3"]);
});

test("a key below an alternative turns it on, whatever the file had there", () => {
  const env = { OPTOUT_KAFKA__SSL__CA_FILE: "/ca.pem", OPTOUT_KAFKA__SSL__REJECT_UNAUTHORIZED: "false" };
  const kafka = { brokers: ["a:1"], ssl: true };
  assert.deepEqual(configOf(env, { kafka }).kafka.ssl, { caFile: "/ca.pem", rejectUnauthorized: false });
});

test("SASL is set key by key for either kind of mechanism", () => {
  const plain = configOf({
    OPTOUT_KAFKA__SASL__MECHANISM: "plain",
    OPTOUT_KAFKA__SASL__USERNAME: "u",
    OPTOUT_KAFKA__SASL__PASSWORD: "p",
  });
  assert.deepEqual(plain.kafka.sasl, { mechanism: "plain", username: "u", password: "p" });
  const oauth = configOf({
    OPTOUT_KAFKA__SASL__MECHANISM: "oauthbearer",
    OPTOUT_KAFKA__SASL__TOKEN_URL: "https://idp/token",
    OPTOUT_KAFKA__SASL__CLIENT_ID: "c",
    OPTOUT_KAFKA__SASL__CLIENT_SECRET: "s",
  });
  assert.equal(oauth.kafka.sasl?.mechanism, "oauthbearer");
});

test("keys of a record are those already there, else in lower case", () => {
  const { regionBySource } = configOf({
    OPTOUT_NORMALIZATION__REGION_BY_SOURCE__IVR: "CA",
    OPTOUT_NORMALIZATION__REGION_BY_SOURCE__CALL_CENTER: "GB",
    OPTOUT_NORMALIZATION__REGION_BY_SOURCE__WEB_FORM: "MX",
  }).normalization;
  assert.deepEqual({ ...regionBySource }, { ivr: "CA", call_center: "GB", "web-Form": "MX" });
});

test("a whole mapping or list can be given as JSON, and refined by further variables", () => {
  const config = configOf({
    OPTOUT_NORMALIZATION: '{"regionBySource":{"ivr":"CA"}}',
    OPTOUT_NORMALIZATION__DEFAULT_REGION: "GB",
    OPTOUT_KAFKA__BROKERS: '["x:1","y:2"]',
  });
  assert.equal(config.normalization.defaultRegion, "GB");
  assert.deepEqual({ ...config.normalization.regionBySource }, { ivr: "CA" });
  assert.deepEqual(config.kafka.brokers, ["x:1", "y:2"]);
});

test("JSON that is none is refused without showing it", () => {
  const problems = problemsOf({
    OPTOUT_GATEWAY: '{"apiKeys":["hunter2"]',
    OPTOUT_SERVER: '{"__proto__":{"port":1}}',
  });
  assert.match(
    problems,
    /gateway = \*\*\* \(from OPTOUT_GATEWAY\): expected a mapping with the keys host, port, apiKeys, .*, as JSON/,
  );
  assert.match(problems, /server = \*\*\* \(from OPTOUT_SERVER\): expected a mapping/);
  assert.doesNotMatch(problems, /hunter/);
});

test("a wrong value names the variable it came from", () => {
  const problems = problemsOf({
    OPTOUT_BATCHING__MAX_WAIT: "10",
    OPTOUT_KAFKA__SSL: "yes",
    OPTOUT_GATEWAY__API_KEYS: "hunter2,hunter 3",
    OPTOUT_BATCHING__MAX_ENTRIES: "1e3",
  });
  assert.match(problems, /batching\.maxWait = "10" \(from OPTOUT_BATCHING__MAX_WAIT\): the unit is missing/);
  assert.match(problems, /kafka\.ssl = "yes" \(from OPTOUT_KAFKA__SSL\): expected true, false or a mapping/);
  assert.match(problems, /gateway\.apiKeys\[1\] = \*\*\* \(from OPTOUT_GATEWAY__API_KEYS\): expected a key/);
  assert.match(problems, /batching\.maxEntries = "1e3" .*expected a whole number from 1 to 1000/);
  assert.doesNotMatch(problems, /hunter/);
});

test("a variable that matches no key is refused with the one it resembles, and its value isn't shown", () => {
  const resembles: Record<string, string> = {
    OPTOUT_KAFKA_BROKERS: "OPTOUT_KAFKA__BROKERS",
    OPTOUT_BROKERS: "OPTOUT_KAFKA__BROKERS",
    OPTOUT_KAFKA__BROKER: "OPTOUT_KAFKA__BROKERS",
    OPTOUT_KAFKA__SASL__PASWORD: "OPTOUT_KAFKA__SASL__PASSWORD",
    OPTOUT_ENVIRONMENTS__12__AUTH__SECRET: "OPTOUT_ENVIRONMENTS__12__AUTH__CLIENT_SECRET",
    OPTOUT_ENVIRONMENTS_3_BASEURL: "OPTOUT_ENVIRONMENTS__3__BASE_URL",
    OPTOUT_kafka__clientId: "OPTOUT_KAFKA__CLIENT_ID",
  };
  for (const [variable, meant] of Object.entries(resembles)) {
    const problems = problemsOf({ [variable]: "hunter2" });
    assert.ok(problems.includes(`${variable}: sets no key; did you mean ${meant}?`), problems);
    assert.doesNotMatch(problems, /hunter/);
  }
  for (const variable of [
    "OPTOUT_",
    "OPTOUT_XYZZY",
    "OPTOUT___PROTO__",
    "OPTOUT_SERVER__PORT__",
    "OPTOUT_KAFKA__BROKERS__01",
  ]) {
    assert.match(problemsOf({ [variable]: "x" }), new RegExp(`${variable}: sets no key;`));
  }
});

test("OPTOUT_CONFIG, the tests' own variables and everybody else's are let be", () => {
  const env = {
    OPTOUT_CONFIG: "/x",
    OPTOUT_TEST_ANYTHING: "1",
    OPTOUTS: "1",
    PATH: "/bin",
    optout_kafka: "x",
  };
  assert.equal(configOf(env).kafka.brokers.length, 1);
});

test("the addresses Kubernetes injects for a service named optout-relay are no settings", () => {
  const links = {
    OPTOUT_RELAY_SERVICE_HOST: "10.0.0.1",
    OPTOUT_RELAY_SERVICE_PORT: "9464",
    OPTOUT_RELAY_SERVICE_PORT_METRICS: "9464",
    OPTOUT_RELAY_PORT: "tcp://10.0.0.1:9464",
    OPTOUT_RELAY_PORT_9464_TCP: "tcp://10.0.0.1:9464",
    OPTOUT_RELAY_PORT_9464_TCP_ADDR: "10.0.0.1",
  };
  assert.equal(configOf(links).server.port, 9464);
  assert.match(problemsOf({ OPTOUT_RELAY_PORT: "9464" }), /OPTOUT_RELAY_PORT: sets no key/);
  assert.match(problemsOf({ ...links, OPTOUT_SERVER_PORT: "1" }), /OPTOUT_SERVER_PORT: sets no key/);
});

test("variables that contradict each other or leave gaps are refused", () => {
  assert.match(
    problemsOf({ OPTOUT_KAFKA__SSL: "true", OPTOUT_KAFKA__SSL__CA_FILE: "/x" }),
    /OPTOUT_KAFKA__SSL__CA_FILE: contradicts OPTOUT_KAFKA__SSL: leave one of them out/,
  );
  assert.match(
    problemsOf({ OPTOUT_ENVIRONMENTS__2__NAME: "x" }),
    /OPTOUT_ENVIRONMENTS__2__NAME: the list has 1 so far; the next index is 1/,
  );
});

test("an environment variable can't reach the prototype of anything", () => {
  problemsOf({
    OPTOUT_NORMALIZATION__REGION_BY_SOURCE____PROTO__: "US",
    OPTOUT_CONSTRUCTOR__PROTOTYPE__X: "1",
  });
  const { regionBySource } = configOf({
    OPTOUT_NORMALIZATION__REGION_BY_SOURCE__CONSTRUCTOR: "US",
  }).normalization;
  assert.equal(regionBySource.constructor, "US");
  assert.equal(Reflect.get({}, "x"), undefined);
  assert.equal({}.constructor, Object);
});
