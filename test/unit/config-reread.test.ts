import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadConfig, parseConfig, redactConfig } from "../../src/config/load.ts";
import { rereadable } from "../../src/config/reread.ts";
import { createLogger, silentLogger } from "../../src/observability/logger.ts";

const folder = mkdtempSync(join(tmpdir(), "optout-reread-"));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
const fileWith = (content: string): string => {
  const path = join(folder, `secret-${files++}`);
  writeFileSync(path, content);
  return path;
};

const ref = (inside: string): string => `\${${inside}}`;

const AUTH = ["environments", 0, "auth"] as const;

const withAuth = (auth: unknown) => ({
  kafka: { brokers: ["localhost:9092"] },
  environments: [{ name: "a", baseUrl: "http://localhost:9099/a", auth }],
});

const logging = () => {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger(
    { level: "debug", format: "json" },
    { write: (line) => void lines.push(JSON.parse(line)) },
  );
  return { logger, lines };
};

/** The first environment's auth of such a configuration, read again at each call. */
const authOf = (auth: unknown, env = {}) => {
  const { logger, lines } = logging();
  return { read: rereadable(parseConfig(withAuth(auth), { env }), AUTH, logger), lines };
};

test("a secret in a file is what the file holds now, and everything else what it was", () => {
  const file = fileWith("first\n");
  const env = { ID: "relay" };
  const { read, lines } = authOf({ clientId: ref("ID"), clientSecret: ref(`file:${file}`) }, env);
  const first = { clientId: "relay", clientSecret: "first", scope: "dnc:write" };
  assert.deepEqual(read(), first);
  assert.deepEqual(read(), first);
  env.ID = "another";
  writeFileSync(file, "second\r\n");
  assert.deepEqual(read(), { ...first, clientSecret: "second" });
  assert.deepEqual(read(), { ...first, clientSecret: "second" });
  writeFileSync(file, "third");
  assert.deepEqual(read(), { ...first, clientSecret: "third" });
  assert.deepEqual(
    lines.map(({ level, msg, key, files }) => ({ level, msg, key, files })),
    Array(2).fill({
      level: "info",
      msg: "read again from its files",
      key: "environments[0].auth",
      files: [file],
    }),
  );
});

test("the type is that of the part", () => {
  const config = parseConfig(withAuth({ clientId: "a", clientSecret: "b" }));
  const port: number = rereadable(config, ["server", "port"], silentLogger())();
  const sasl: { mechanism: string } | undefined = rereadable(config, ["kafka", "sasl"], silentLogger())();
  assert.deepEqual([port, sasl], [9_464, undefined]);
});

test("a file that is missing, unreadable, empty or invalid leaves the last good value, with one warning each", () => {
  const file = fileWith("good");
  const { read, lines } = authOf({ clientId: "relay", clientSecret: `pre-${ref(`file:${file}`)}` });
  const spoil: [string, () => void, RegExp][] = [
    ["missing", () => unlinkSync(file), /cannot read ".*": there is no such file/],
    ["a folder", () => mkdirSync(file), /it is a folder/],
    [
      "two lines",
      () => {
        rmSync(file, { recursive: true });
        writeFileSync(file, "hunter2\nhunter3\n");
      },
      /expected a secret on one line/,
    ],
    ["binary", () => writeFileSync(file, Buffer.from([0xff, 0xfe])), /it is not UTF-8 text/],
    ["large", () => writeFileSync(file, "hunter2".repeat(200_000)), /it is larger than 1 MiB/],
  ];
  for (const [name, change, says] of spoil) {
    change();
    lines.length = 0;
    for (let count = 0; count < 3; count++) assert.equal(read().clientSecret, "pre-good", name);
    assert.equal(lines.length, 1, name);
    assert.equal(lines[0]?.level, "warn");
    assert.equal(lines[0]?.key, "environments[0].auth");
    assert.deepEqual(lines[0]?.files, [file]);
    assert.match(String(lines[0]?.problems), says, name);
    assert.match(String(lines[0]?.problems), /^environments\[0\]\.auth\.clientSecret = \*\*\*/, name);
    assert.doesNotMatch(JSON.stringify(lines), /hunter|good/, name);
  }
  lines.length = 0;
  writeFileSync(file, "good");
  assert.equal(read().clientSecret, "pre-good");
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ["read again from its files"],
    "the warning is over",
  );
  rmSync(file);
  read();
  assert.equal(lines.at(-1)?.level, "warn", "the same fault later is another one");
});

test("a file that is empty while it is written isn't taken", () => {
  const file = fileWith("old-secret");
  const { read } = authOf({ clientId: "relay", clientSecret: ref(`file:${file}`) });
  for (const half of ["", "\n"]) {
    writeFileSync(file, half);
    assert.equal(read().clientSecret, "old-secret");
  }
  writeFileSync(file, "new-secret\n");
  assert.equal(read().clientSecret, "new-secret");
});

test("a folder swapped by a symbolic link, as Kubernetes does it, is followed", () => {
  const mount = join(folder, "mount");
  mkdirSync(join(mount, "..v1"), { recursive: true });
  mkdirSync(join(mount, "..v2"));
  writeFileSync(join(mount, "..v1", "id"), "relay-1");
  writeFileSync(join(mount, "..v1", "secret"), "secret-1");
  writeFileSync(join(mount, "..v2", "id"), "relay-2");
  writeFileSync(join(mount, "..v2", "secret"), "secret-2");
  symlinkSync("..v1", join(mount, "..data"));
  for (const name of ["id", "secret"]) symlinkSync(join("..data", name), join(mount, name));
  const auth = { clientId: ref(`file:${mount}/id`), clientSecret: ref(`file:${mount}/secret`) };
  const { read } = authOf(auth);
  assert.deepEqual(read(), { clientId: "relay-1", clientSecret: "secret-1", scope: "dnc:write" });
  symlinkSync("..v2", join(mount, "..data_tmp"));
  renameSync(join(mount, "..data_tmp"), join(mount, "..data"));
  rmSync(join(mount, "..v1"), { recursive: true });
  assert.deepEqual(read(), { clientId: "relay-2", clientSecret: "secret-2", scope: "dnc:write" });
});

test("one bad file of two keeps both values, so that they never come from different times", () => {
  const id = fileWith("relay-1");
  const secret = fileWith("secret-1");
  const { read } = authOf({ clientId: ref(`file:${id}`), clientSecret: ref(`file:${secret}`) });
  writeFileSync(id, "relay-2");
  writeFileSync(secret, "");
  assert.deepEqual(read(), { clientId: "relay-1", clientSecret: "secret-1", scope: "dnc:write" });
  writeFileSync(secret, "secret-2");
  assert.deepEqual(read(), { clientId: "relay-2", clientSecret: "secret-2", scope: "dnc:write" });
});

test("a part that comes whole from one file, as JSON, is read again as well", () => {
  const file = fileWith('{"clientId": "a", "clientSecret": "b"}');
  const { read, lines } = authOf(ref(`file:${file}`));
  writeFileSync(file, '{"clientId": "c", "clientSecret": "d", "scope": "e"}');
  assert.deepEqual(read(), { clientId: "c", clientSecret: "d", scope: "e" });
  writeFileSync(file, '{"clientId": "hunter2", "clientSec');
  assert.deepEqual(read(), { clientId: "c", clientSecret: "d", scope: "e" });
  assert.doesNotMatch(JSON.stringify(lines), /hunter/);
});

test("what an OPTOUT_ variable set stays as it is, whatever it looks like", () => {
  const file = fileWith("from-file");
  const secret = ref(`file:${file}`);
  const env = { OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET: secret };
  const { read, lines } = authOf({ clientId: ref(`file:${file}`), clientSecret: secret }, env);
  assert.equal(read().clientSecret, secret);
  writeFileSync(file, "changed");
  assert.deepEqual(read(), { clientId: "changed", clientSecret: secret, scope: "dnc:write" });
  assert.equal(lines.length, 1);
});

test("a file elsewhere in the configuration neither changes the part nor disturbs it", () => {
  const broken = fileWith("localhost:9092");
  const file = fileWith("one");
  const raw = {
    ...withAuth({ clientId: "relay", clientSecret: ref(`file:${file}`) }),
    kafka: { brokers: ref(`file:${broken}`) },
  };
  const read = rereadable(parseConfig(raw), AUTH, silentLogger());
  rmSync(broken);
  writeFileSync(file, "two");
  assert.equal(read().clientSecret, "two");
});

test("other parts can be read again too, in lists and deep in mappings", () => {
  const password = fileWith("p1");
  const key = fileWith("k1");
  const config = parseConfig({
    ...withAuth({ clientId: "relay", clientSecret: "s" }),
    kafka: {
      brokers: ["localhost:9092"],
      sasl: { mechanism: "plain", username: "u", password: ref(`file:${password}`) },
    },
    gateway: { apiKeys: ["fixed", ref(`file:${key}`)] },
  });
  const sasl = rereadable(config, ["kafka", "sasl"], silentLogger());
  const keys = rereadable(config, ["gateway", "apiKeys"], silentLogger());
  const second = rereadable(config, ["gateway", "apiKeys", 1], silentLogger());
  writeFileSync(password, "p2");
  writeFileSync(key, "k2");
  assert.deepEqual(sasl(), { mechanism: "plain", username: "u", password: "p2" });
  assert.deepEqual(keys(), ["fixed", "k2"]);
  assert.equal(second(), "k2");
  assert.deepEqual(config.gateway.apiKeys, ["fixed", "k1"], "the configuration itself never changes");
});

test("a configuration from elsewhere, or a part without files, is given as it is", () => {
  const file = fileWith("one");
  const config = parseConfig(withAuth({ clientId: "relay", clientSecret: ref(`file:${file}`) }));
  const copy = structuredClone(config);
  writeFileSync(file, "two");
  assert.equal(rereadable(copy, AUTH, silentLogger())().clientSecret, "one");
  assert.equal(rereadable(config, ["server"], silentLogger())(), config.server);
  assert.equal(rereadable(config, AUTH, silentLogger())().clientSecret, "two");
});

test("a file's configuration does it too, and says the line", () => {
  const file = fileWith("one");
  const yaml = join(folder, "config.yaml");
  writeFileSync(
    yaml,
    `kafka: {brokers: ["localhost:9092"]}\nenvironments:\n  - name: a\n    baseUrl: http://localhost/a\n    auth:\n      clientId: relay\n      clientSecret: "${ref(`file:${file}`)}"\n`,
  );
  const config = loadConfig({ file: yaml, env: {} });
  const { logger, lines } = logging();
  const read = rereadable(config, AUTH, logger);
  writeFileSync(file, "two");
  assert.equal(read().clientSecret, "two");
  rmSync(yaml);
  rmSync(file);
  assert.equal(read().clientSecret, "two");
  assert.match(String(lines.at(-1)?.problems), /auth\.clientSecret = \*\*\* \(line 7\): cannot read/);
  assert.doesNotMatch(JSON.stringify(redactConfig(config)), /"one"|"two"/);
});
