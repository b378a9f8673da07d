import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { interpolateText } from "../../src/config/interpolate.ts";
import { parseConfig } from "../../src/config/load.ts";

const folder = mkdtempSync(join(tmpdir(), "optout-interpolate-"));
after(() => rmSync(folder, { recursive: true }));

const secretFile = (name: string, content: string | Buffer): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

const ref = (inside: string): string => `\${${inside}}`;
const textOf = (text: string, env = {}): string => {
  const { text: result, faults } = interpolateText(text, env);
  assert.deepEqual(faults, []);
  return result;
};
const faultOf = (text: string, env = {}): string => {
  const { text: result, faults } = interpolateText(text, env);
  assert.equal(result.includes("${"), true, "what is faulty stays");
  return faults.join("; ");
};

test("variables are put in, several in one text as well", () => {
  const env = { HOST: "kafka", PORT: "9092", EMPTY: "" };
  assert.equal(textOf(`${ref("HOST")}:${ref("PORT")}`, env), "kafka:9092");
  assert.equal(textOf(`<${ref("EMPTY")}>`, env), "<>");
});

test("a file is put in without its last line break, and only without that", () => {
  assert.equal(textOf(ref(`file:${secretFile("lf", "hunter2\n")}`)), "hunter2");
  assert.equal(textOf(ref(`file:${secretFile("crlf", "hunter2\r\n")}`)), "hunter2");
  assert.equal(textOf(ref(`file:${secretFile("two", " a\n\n")}`)), " a\n");
});

test("what is put in is not looked at again", () => {
  const env = { OUTER: ref("INNER"), INNER: "wrong" };
  assert.equal(textOf(ref("OUTER"), env), ref("INNER"));
  assert.equal(textOf(ref(`file:${secretFile("nested", ref("INNER"))}`), env), ref("INNER"));
  assert.equal(textOf(ref("DOLLARS"), { DOLLARS: "$& $1 $$" }), "$& $1 $$");
});

test("a doubled dollar escapes, and a dollar without a brace is only a dollar", () => {
  assert.equal(textOf(`$${ref("HOST")}`), ref("HOST"));
  assert.equal(textOf("pa$$word $HOME $", { HOME: "x" }), "pa$$word $HOME $");
});

test("text without ${ is never changed", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      fc.pre(!text.includes("${"));
      assert.deepEqual(interpolateText(text, {}), { text, substituted: false, files: [], faults: [] });
    }),
  );
});

test("whatever a variable holds arrives unchanged", () => {
  fc.assert(
    fc.property(fc.string(), (value) => {
      assert.equal(textOf(ref("SECRET"), { SECRET: value }), value);
    }),
  );
});

test("a reference to nothing is a fault that names what was looked for", () => {
  assert.equal(faultOf(ref("ABSENT")), "the environment variable ABSENT is not set");
  assert.equal(faultOf(ref("__proto__")), "the environment variable __proto__ is not set");
  assert.match(faultOf(ref("file:/nowhere/x")), /cannot read "\/nowhere\/x": there is no such file/);
  assert.match(faultOf(ref(`file:${folder}`)), /it is a folder/);
  assert.match(faultOf(ref("file:/dev/zero")), /it is not a regular file/);
  assert.match(faultOf(ref("file:secret")), /must be absolute/);
  const binary = secretFile("binary", Buffer.from([0xff, 0xfe, 0x00]));
  assert.match(faultOf(ref(`file:${binary}`)), /it is not UTF-8 text/);
  const large = secretFile("large", "x".repeat(1_048_577));
  assert.match(faultOf(ref(`file:${large}`)), /it is larger than 1 MiB/);
});

test("a malformed reference is a fault that says how to write one and doesn't quote the text", () => {
  for (const text of [ref("NAME:-hunter2"), ref("hunter-2"), ref(""), ref("env:hunter2")]) {
    const fault = faultOf(text);
    assert.match(fault, /neither a variable nor a file: write \$\{NAME\} or \$\{file:\/path\}, or \$\$\{/);
    assert.doesNotMatch(fault, /hunter/);
  }
  assert.match(faultOf("hunter2${unfinished"), /without its \}/);
});

const withSecret = (clientSecret: string, more = {}) => ({
  kafka: { brokers: ["localhost:9092"] },
  environments: [{ name: "a", baseUrl: "http://localhost:9099/a", auth: { clientId: "a", clientSecret } }],
  ...more,
});

test("a secret with YAML's or JSON's own characters is taken as it is", () => {
  const secret = `'"{}[]: #&*!|>%@\`, \\ ${ref("HOME")}`;
  const config = parseConfig(withSecret(ref("SECRET")), { env: { SECRET: secret, HOME: "x" } });
  assert.equal(config.environments[0]?.auth.clientSecret, secret);
});

test("numbers, booleans and lists may come from outside as text", () => {
  const more = {
    kafka: { brokers: ref("BROKERS"), ssl: ref("SSL") },
    server: { port: ref("PORT") },
    batching: { maxWait: ref("WAIT") },
  };
  const env = { BROKERS: "a:1, b:2", SSL: "true", PORT: "81", WAIT: "3s", S: "0123" };
  const config = parseConfig(withSecret(ref("S"), more), { env });
  assert.deepEqual(config.kafka.brokers, ["a:1", "b:2"]);
  assert.equal(config.kafka.ssl, true);
  assert.equal(config.server.port, 81);
  assert.equal(config.batching.maxWait, 3_000);
  assert.equal(config.environments[0]?.auth.clientSecret, "0123", "text stays text");
});

test("keys are not interpolated", () => {
  const raw = withSecret("s", { [ref("KEY")]: {} });
  assert.throws(() => parseConfig(raw, { env: { KEY: "server" } }), /\["\$\{KEY\}"\] = \*\*\*: unknown key/);
});

test("a value that a reference failed for is reported once, and others beside it all the same", () => {
  const more = {
    kafka: { brokers: ref("BROKERS") },
    topics: { events: ref("A"), status: ref("A") },
    port: ref("B"),
  };
  assert.throws(
    () => parseConfig(withSecret("s", more)),
    ({ message }: Error) => {
      const lines = message.split("\n").map((line) => line.trim());
      assert.deepEqual(lines, [
        "The configuration has 5 problems:",
        `kafka.brokers = "${ref("BROKERS")}": the environment variable BROKERS is not set`,
        `topics.events = "${ref("A")}": the environment variable A is not set`,
        `topics.status = "${ref("A")}": the environment variable A is not set`,
        `port = "${ref("B")}": the environment variable B is not set`,
        `port = "${ref("B")}": unknown key; did you mean server.port?`,
      ]);
      return true;
    },
  );
});
