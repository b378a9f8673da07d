import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { readDocument } from "../../src/config/document.ts";
import { loadConfig, redactConfig } from "../../src/config/load.ts";
import { show } from "../../src/config/secrets.ts";
import { OptoutError } from "../../src/errors.ts";
import { fuzz, hostileJson, mutated } from "../support/fuzz.ts";
import { assertLinear } from "../support/growth.ts";

const SECRET = "hunter2-never-shown";
const VALID = `
kafka:
  brokers: [localhost:9092]
  groupId: &id relay
  clientId: *id
  sasl: {mechanism: scram-sha-512, username: relay, password: "\${PASSWORD}"}
  sessionTimeout: 10s
topics: {events: e, status: s, deadLetter: d}
schemaRegistry: {url: "http://localhost:8081", username: u, password: ${SECRET}}
normalization: {defaultRegion: US, regionBySource: {ivr: GB}}
batching: {maxEntries: 50, maxWait: 10s, maxBytes: 1MiB, maxPendingEntries: 50000}
environments:
  - &first
    name: production
    baseUrl: https://api.nice.incontact.com
    dialect: compliance-dnc
    auth: {clientId: c, clientSecret: ${SECRET}, scope: dnc:write}
    requestsPerSecond: 100
    retry: {initialBackoff: 500ms, maxBackoff: 60s}
  - <<: *first
    name: other
server: {host: 127.0.0.1, port: 9464}
gateway: {port: 8080, apiKeys: [${SECRET}]}
logging: {level: info, format: json}
`;
const REFERENCE = `$${"{PASSWORD}"}`;
const AS_JSON = JSON.stringify(readDocument(VALID).tree);
const folder = mkdtempSync(join(tmpdir(), "optout-fuzz-"));
const file = join(folder, "config.yaml");
after(() => rmSync(folder, { recursive: true }));

/** A configuration, or one message of bounded length for people; nothing else is thrown, and no secret is in it. */
function check(text: string | Buffer, env: NodeJS.ProcessEnv = {}): void {
  writeFileSync(file, text);
  try {
    const config = loadConfig({ file, env: { PASSWORD: SECRET, ...env } });
    assert.doesNotMatch(JSON.stringify(redactConfig(config)), new RegExp(SECRET));
  } catch (error) {
    assert.ok(error instanceof OptoutError, String(error instanceof Error ? error.stack : error));
    assert.equal(error.code, "configuration");
    assert.ok(error.message.length < 200_000, `${error.message.length} characters of message`);
    // A secret that was cut short, or stands in another place now, isn't known as one.
    assert.doesNotMatch(
      error.message,
      new RegExp(`(?:clientSecret|password|apiKeys\\\\[0\\\\]) = "${SECRET}`),
    );
  }
}

describe("any configuration is taken or refused in one message", () => {
  test("the seeds themselves are taken", () => {
    for (const text of [VALID, AS_JSON]) {
      writeFileSync(file, text);
      assert.equal(loadConfig({ file, env: { PASSWORD: SECRET } }).environments.length, 2);
    }
  });

  test("files of which some bytes changed", () => {
    fuzz(mutated([Buffer.from(VALID), Buffer.from(AS_JSON)]), (text) => check(text), 120);
  });

  test("trees of the keys that there are, with values of every kind", () => {
    const words = [
      "kafka",
      "brokers",
      "environments",
      "auth",
      "topics",
      "ssl",
      "sasl",
      "name",
      "baseUrl",
      REFERENCE,
      "gateway",
    ];
    fuzz(hostileJson(words), (text) => check(text), 120);
    const value = hostileJson(words);
    const path = fc.constantFrom(...Object.keys(JSON.parse(AS_JSON) as object));
    fuzz(
      fc.tuple(path, value),
      ([key, given]) => check(JSON.stringify({ ...JSON.parse(AS_JSON), [key]: JSON.parse(given) })),
      150,
    );
  });

  test("variables of any name and value", () => {
    const step = fc.constantFrom(
      "KAFKA",
      "ENVIRONMENTS",
      "0",
      "1",
      "99999999999",
      "-1",
      "AUTH",
      "__PROTO__",
      "CONSTRUCTOR",
      "",
      "BROKERS",
      "PROTOTYPE",
    );
    const name = fc.array(step, { minLength: 1, maxLength: 5 }).map((steps) => `OPTOUT_${steps.join("__")}`);
    const value = fc.oneof(
      fc.string({ maxLength: 30 }),
      hostileJson(["brokers", "0"]),
      fc.constant(REFERENCE),
    );
    fuzz(fc.dictionary(name, value, { maxKeys: 4 }), (env) => check(VALID, env), 150);
  });

  test("tags, merges, anchors and documents of YAML that no configuration has", () => {
    for (const text of [
      "!!js/function 'x'",
      "a: !!binary AAAA",
      "a: !!set {b}",
      "a: !!omap [b: 1]",
      "a: !!float .inf",
      "? {a: b}\n: c",
      "? [a]\n: b",
      "<<: 1",
      "<<: [1, 2]",
      "<<: *a",
      "a: &a {<<: *a}",
      "a: &a\n  b: *a",
      "<<: {__proto__: {x: 1}}",
      "a: &x {b: 1}\n<<: [*x, *x]\n",
      "\u0000",
      "\ufeff",
      "%TAG ! tag:x,2000:\n---\n!a b",
      "--- a\n--- b",
      "...",
      "a: |\n  b\n c",
      "a: 1e400",
      `a: ${"9".repeat(5_000)}`,
      "kafka: {constructor: {prototype: {x: 1}}}",
      "toString: 1",
      "hasOwnProperty: {}",
      "kafka: {hasOwnProperty: 1}",
      "environments: {length: 1e9}",
    ]) {
      check(text);
    }
  });

  test("twice the file takes about twice the time", () => {
    const lines = (size: number, write: (index: number) => string): string =>
      Array.from({ length: size / 16 }, (_, index) => write(index)).join("");
    const shapes: Record<string, (size: number) => string> = {
      "a list": (size) => `environments:\n${lines(size, () => "  - aaaaaaaaaaaa\n")}`,
      "a list in brackets": (size) => `kafka: {brokers: [${lines(size / 64, () => "aaaaaaaaaaaaaa,\n")}]}`,
      "a text": (size) => `a: "${"x".repeat(size)}"`,
      "URLs in a text": (size) => `kafka: {clientId: "${"://".repeat(size / 3)}"}`,
      "slashes in a URL": (size) => `schemaRegistry: {url: "http://a/${"/".repeat(size)}"}`,
      comments: (size) => lines(size, () => "# xxxxxxxxxxxxx\n"),
      blanks: (size) => `a:${" ".repeat(size)}b`,
      "empty lines": (size) => `a: |\n${"\n".repeat(size)}`,
      "a reference that never ends": (size) => `kafka: {clientId: "${"${".repeat(size / 2)}"}`,
      references: (size) => `kafka: {clientId: "${REFERENCE.repeat(size / 11)}"}`,
      backslashes: (size) => `a: "${"\\\\".repeat(size / 2)}`,
    };
    for (const [what, write] of Object.entries(shapes)) {
      const work = (size: number) => {
        const text = write(size);
        return () => check(text);
      };
      assertLinear(what, work, { from: 16_384, to: 262_144 });
    }
    const shown = (size: number) => () => void show("://".repeat(size / 3));
    assertLinear("a text of URLs in a message", shown, { to: 1_048_576 });
  });
});
