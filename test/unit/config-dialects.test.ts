import assert from "node:assert/strict";
import { test } from "node:test";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { loadConfig, parseConfig, redactConfig } from "../../src/config/load.ts";
import { valueAt } from "../../src/config/tree.ts";

const compliance = (more = {}) => ({
  name: "production",
  baseUrl: "https://api.example.com",
  auth: { clientId: "a", clientSecret: "b" },
  ...more,
});

const admin = (more = {}) => ({
  name: "us",
  dialect: "admin-dnc-groups",
  baseUrl: "https://issuer.example.com/",
  tenantId: "t-1",
  groupId: 42,
  auth: { accessKeyId: "key", accessKeySecret: "hunter2" },
  ...more,
});

const parse = (environments: unknown, env: NodeJS.ProcessEnv = {}) =>
  parseConfig({ kafka: { brokers: ["a:1"] }, environments }, { env });

const problemsOf = (environment: unknown, env: NodeJS.ProcessEnv = {}): string[] => {
  try {
    parse([environment], env);
  } catch (error) {
    const [, ...lines] = error instanceof Error ? error.message.split("\n") : [];
    return lines.map((line) => line.trim());
  }
  return [];
};

test("an environment without a dialect speaks compliance-dnc", () => {
  assert.equal(parse([compliance()]).environments[0]?.dialect, "compliance-dnc");
  assert.equal(parse([compliance({ dialect: undefined })]).environments[0]?.dialect, "compliance-dnc");
});

test("an environment of admin-dnc-groups has that dialect's keys beside the common ones", () => {
  assert.deepEqual(parse([admin()]).environments[0], {
    name: "us",
    dialect: "admin-dnc-groups",
    baseUrl: "https://issuer.example.com",
    requestsPerSecond: 100,
    maxConcurrency: 64,
    requestTimeout: 30_000,
    retry: { initialBackoff: 500, maxBackoff: 60_000 },
    tenantId: "t-1",
    apiVersion: 30,
    groupId: 42,
    numberForms: {},
    auth: { accessKeyId: "key", accessKeySecret: "hunter2" },
  });
});

test("environments of several dialects stand side by side, each with its own type", () => {
  const [first, second] = parse([
    compliance(),
    admin({ apiVersion: 12, numberForms: { 44: "digits" } }),
  ]).environments;
  assert.ok(first?.dialect === "compliance-dnc" && second?.dialect === "admin-dnc-groups");
  const scope: string = first.auth.scope;
  const form: "digits" | "national" | undefined = second.numberForms["44"];
  assert.deepEqual([scope, form, second.apiVersion], ["dnc:write", "digits", 12]);
});

test("a dialect that there isn't is refused with those there are", () => {
  for (const dialect of ["fax", "", 5, null, ["compliance-dnc"]]) {
    assert.match(
      problemsOf(compliance({ dialect })).join("\n"),
      /^environments\[0\]\.dialect = .*: expected one of: compliance-dnc, admin-dnc-groups$/,
    );
  }
  assert.match(
    problemsOf("hunter2")[0] ?? "",
    /^environments\[0\] = \*\*\*: expected a mapping with the keys name, /,
  );
});

test("with a dialect that there isn't, the other mistakes of the environment are told too", () => {
  const environment = compliance({
    ...{ dialect: "fax", name: "two words", baseUrl: undefined, requestsPerSecond: "many" },
    ...{ retry: { initialBackoff: "10s", maxBackoff: "1s", backof: 1 }, groupID: 42, tenantId: "t" },
  });
  const known = "expected one of: compliance-dnc, admin-dnc-groups";
  assert.deepEqual(problemsOf(environment).sort(), [
    'environments[0].baseUrl is missing: expected an http:// or https:// URL such as "https://api.nice.incontact.com"',
    `environments[0].dialect = "fax": ${known}`,
    "environments[0].groupID = 42: unknown key; did you mean groupId?",
    'environments[0].name = "two words": expected a short name of letters, digits, - and _ (at most 63, the first a letter or digit)',
    'environments[0].requestsPerSecond = "many": expected a number from 0.01 to 10000',
    "environments[0].retry.backof = 1: unknown key; did you mean maxBackoff?",
    'environments[0].retry.maxBackoff = "1s": expected at least retry.initialBackoff (10s)',
  ]);
  assert.deepEqual(problemsOf(admin({ dialect: "admin-dnc-group", auth: { accessKeySecret: 5 } })), [
    `environments[0].dialect = "admin-dnc-group": ${known}`,
  ]);
});

test("the mistakes of every environment are told at once", () => {
  const environments = [
    compliance({ dialect: "fax", maxConcurrency: 0 }),
    admin({ name: "production", groupId: 0, numberForms: { 44: "national" } }),
    compliance({ name: "eu", dialect: "telex", retry: { maxBackoff: "1ms" }, auth: "hunter2" }),
    "hunter2",
  ];
  const keys = (() => {
    try {
      parse(environments);
    } catch (error) {
      return [...(error instanceof Error ? error.message : "").matchAll(/^ {2}environments(\S+)/gm)];
    }
    return [];
  })().map(([, key]) => key);
  assert.deepEqual(keys.sort(), [
    "[0].dialect",
    "[0].maxConcurrency",
    "[1].groupId",
    "[1].name",
    '[1].numberForms["44"]',
    "[2].dialect",
    "[2].retry.maxBackoff",
    "[3]",
  ]);
});

test("keys that admin-dnc-groups needs are missed by name", () => {
  const environment = admin({ tenantId: undefined, groupId: undefined, auth: { accessKeyId: "key" } });
  assert.deepEqual(problemsOf(environment), [
    "environments[0].tenantId is missing: expected a tenant id: one line of text, not empty, without blanks around it",
    "environments[0].groupId is missing: expected a whole number from 1 to 2147483647",
    "environments[0].auth.accessKeySecret is missing: expected a secret on one line, not empty",
  ]);
});

test("a client has an id and a secret, or there is none", () => {
  const auth = { accessKeyId: "key", accessKeySecret: "hunter2" };
  assert.deepEqual(problemsOf(admin({ auth: { ...auth, clientId: "c" } })), [
    "environments[0].auth.clientSecret is missing: expected clientId with clientSecret: give both or neither",
  ]);
  assert.deepEqual(problemsOf(admin({ auth: { ...auth, clientSecret: "hunter2" } })), [
    "environments[0].auth.clientId is missing: expected clientId with clientSecret: give both or neither",
  ]);
  assert.deepEqual(problemsOf(admin({ auth: { ...auth, clientId: "c", clientSecret: "hunter2" } })), []);
});

test("versions and groups are whole numbers, forms of numbers one of two, by calling code", () => {
  const problem = (more: object): string => problemsOf(admin(more)).join("\n");
  assert.match(
    problem({ apiVersion: "30.0" }),
    /apiVersion = "30\.0": expected a whole number from 1 to 99, without/,
  );
  assert.match(problem({ apiVersion: 30.5 }), /expected a whole number from 1 to 99$/);
  assert.match(problem({ groupId: 0 }), /groupId = 0: expected a whole number from 1/);
  assert.match(
    problem({ numberForms: { 44: "e164" } }),
    /^environments\[0\]\.numberForms\["44"\] = "e164": expected one of: digits, national$/,
  );
  for (const code of ["+44", "044", "4444", "UK"]) {
    assert.match(
      problem({ numberForms: { [code]: "digits" } }),
      /expected a country calling code as a key, without \+/,
    );
  }
  assert.match(problem({ numberForms: "digits" }), /expected a mapping/);
});

test("one calling code at most is national, and 1 is unless it is set to digits", () => {
  const problems = (numberForms: object): string[] => problemsOf(admin({ numberForms }));
  const noted = (code: string, first: string): string =>
    `environments[0].numberForms["${code}"] = "national": expected digits: only one calling code can be national, and ${first} is`;
  const remedy = `; set "1" to digits too if the group is another country's`;
  assert.deepEqual(problems({ 44: "national" }), [noted("44", "1") + remedy]);
  assert.deepEqual(problems({ 1: "national", 39: "national", 44: "national" }), [
    noted("39", "1") + remedy,
    noted("44", "1") + remedy,
  ]);
  assert.deepEqual(problems({ 1: "digits", 39: "national", 44: "national" }), [noted("44", "39")]);
  assert.deepEqual(problems({ 39: "national", 44: "e164" }), [
    'environments[0].numberForms["44"] = "e164": expected one of: digits, national',
    noted("39", "1") + remedy,
  ]);
  for (const numberForms of [
    {},
    { 1: "national", 44: "digits" },
    { 1: "digits", 44: "national" },
    { 1: "digits", 44: "digits" },
  ]) {
    assert.deepEqual(problems(numberForms), []);
  }
});

test("a key of another dialect is refused with the dialect it belongs to", () => {
  assert.deepEqual(problemsOf(compliance({ groupId: 42, numberForms: {} })), [
    "environments[0].groupId = 42: unknown key here; it belongs to dialect: admin-dnc-groups",
    "environments[0].numberForms = a mapping: unknown key here; it belongs to dialect: admin-dnc-groups",
  ]);
  assert.deepEqual(
    problemsOf(compliance({ auth: { clientId: "a", clientSecret: "b", accessKeySecret: "hunter2" } })),
    ["environments[0].auth.accessKeySecret = ***: unknown key here; it belongs to dialect: admin-dnc-groups"],
  );
  const auth = { accessKeyId: "key", accessKeySecret: "hunter2", scope: "dnc:write" };
  assert.deepEqual(problemsOf(admin({ auth })), [
    "environments[0].auth.scope = ***: unknown key here; it belongs to dialect: compliance-dnc",
  ]);
});

test("a misspelt key is compared with those of its own dialect", () => {
  assert.match(
    problemsOf(admin({ tenantID: "t" })).join("\n"),
    /tenantID = "t": unknown key; did you mean tenantId\?/,
  );
  const auth = { clientId: "a", clientSecret: "b", acessKeySecret: "hunter2" };
  assert.match(
    problemsOf(compliance({ auth })).join("\n"),
    /auth\.acessKeySecret = \*\*\*: unknown key; the keys here are clientId, clientSecret, scope, tokenUrl$/,
  );
});

test("secrets of every dialect are masked", () => {
  const auth = { accessKeyId: "key", accessKeySecret: "hunter2\n", clientId: "c", clientSecret: "hunter\n" };
  assert.doesNotMatch(problemsOf(admin({ auth, dialekt: "x" })).join("\n"), /hunter/);
  assert.doesNotMatch(JSON.stringify(redactConfig(parse([admin()]))), /hunter/);
});

test("environment variables alone can describe an environment of any dialect", () => {
  const env = {
    OPTOUT_KAFKA__BROKERS: "a:1",
    OPTOUT_ENVIRONMENTS__0__NAME: "eu",
    OPTOUT_ENVIRONMENTS__0__BASE_URL: "https://issuer.example.com",
    OPTOUT_ENVIRONMENTS__0__DIALECT: "admin-dnc-groups",
    OPTOUT_ENVIRONMENTS__0__TENANT_ID: "t-1",
    OPTOUT_ENVIRONMENTS__0__API_VERSION: "31",
    OPTOUT_ENVIRONMENTS__0__GROUP_ID: "7",
    OPTOUT_ENVIRONMENTS__0__NUMBER_FORMS__1: "digits",
    OPTOUT_ENVIRONMENTS__0__NUMBER_FORMS__44: "national",
    OPTOUT_ENVIRONMENTS__0__AUTH__ACCESS_KEY_ID: "key",
    OPTOUT_ENVIRONMENTS__0__AUTH__ACCESS_KEY_SECRET: "hunter2",
    OPTOUT_ENVIRONMENTS__1__NAME: "us",
    OPTOUT_ENVIRONMENTS__1__BASE_URL: "https://api.example.com",
    OPTOUT_ENVIRONMENTS__1__AUTH__CLIENT_ID: "id",
    OPTOUT_ENVIRONMENTS__1__AUTH__CLIENT_SECRET: "secret",
  };
  const [first, second] = loadConfig({ env }).environments;
  assert.ok(first?.dialect === "admin-dnc-groups");
  assert.deepEqual([first.apiVersion, first.groupId, first.numberForms["44"]], [31, 7, "national"]);
  assert.deepEqual(first.auth, { accessKeyId: "key", accessKeySecret: "hunter2" });
  assert.equal(second?.dialect, "compliance-dnc");
  const wrong = problemsOf(compliance(), { OPTOUT_ENVIRONMENTS__0__DIALECT: "fax" });
  assert.deepEqual(wrong, [
    'environments[0].dialect = "fax" (from OPTOUT_ENVIRONMENTS__0__DIALECT): expected one of: compliance-dnc, admin-dnc-groups',
  ]);
});

test("the published JSON Schema has an alternative for each dialect; the default needs no key", () => {
  const schema: unknown = JSON.parse(JSON.stringify(configJsonSchema()));
  const list = valueAt(schema, ["properties", "environments", "anyOf", 0, "items", "anyOf"]);
  assert.ok(Array.isArray(list));
  const alternatives = list.map((each: unknown) => ({
    dialect: valueAt(each, ["properties", "dialect", "anyOf", 0, "const"]),
    required: valueAt(each, ["required"]),
    additional: valueAt(each, ["additionalProperties"]),
  }));
  assert.deepEqual(alternatives.slice(0, 2), [
    { dialect: "compliance-dnc", required: ["name", "baseUrl", "auth"], additional: false },
    {
      dialect: "admin-dnc-groups",
      required: ["name", "baseUrl", "dialect", "tenantId", "groupId", "auth"],
      additional: false,
    },
  ]);
});
