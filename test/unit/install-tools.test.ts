import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { toolsFor } from "../support/tools.ts";

const script = fileURLToPath(new URL("../../../.ci/install-tools", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "optout-tools-"));
after(() => rmSync(root, { recursive: true, force: true }));

/** A machine that has only these programs, each a line of shell. */
function machine(programs: Record<string, string>): { path: string; have(name: string, line: string): void } {
  const path = mkdtempSync(join(root, "machine-"));
  const have = (name: string, line: string): void => {
    writeFileSync(join(path, name), `#!/bin/bash\n${line}\n`);
    chmodSync(join(path, name), 0o755);
  };
  for (const [name, line] of Object.entries(programs)) have(name, line);
  return { path, have };
}

function install(path: string, tools: string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync("/bin/bash", [script, ...tools], {
    env: { PATH: path, ...env },
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

const user = { id: "echo 1000" };
const root0 = { id: "echo 0" };
/** Writes what it is asked into a file, and "installs" by creating the programs of those names. */
const aptGet = (log: string, bin: string): string =>
  [
    `echo "$@" >> ${log}`,
    `[ "$1" = install ] || exit 0`,
    `for name in "$@"; do case $name in prometheus|promtool|openssl) echo '#!/bin/bash' > ${bin}/$name; /bin/chmod +x ${bin}/$name ;; esac; done`,
  ].join("\n");
const env = { env: 'while [[ $1 == *=* ]]; do export "$1"; shift; done; "$@"' };

describe("install-tools", () => {
  it("does nothing when all is there", () => {
    const { path } = machine({ openssl: ":", java: `echo 'openjdk version "21.0.1"' >&2` });
    assert.deepEqual(install(path, ["openssl", "java"]), { status: 0, stdout: "", stderr: "" });
  });

  it("takes a Java that is too old for a missing one", () => {
    const { path } = machine({ java: `echo 'openjdk version "11.0.2"' >&2` });
    const { status, stderr } = install(path, ["java"]);
    assert.equal(status, 1);
    assert.match(stderr, /not found: java\./);
  });

  it("takes the Java in JAVA_HOME and the Chromium in OPTOUT_TEST_CHROMIUM", () => {
    const { path } = machine({});
    const home = machine({ chrome: ":" });
    mkdirSync(join(home.path, "bin"));
    home.have("bin/java", `echo 'java version "17.0.9"' >&2`);
    const given = { JAVA_HOME: home.path, OPTOUT_TEST_CHROMIUM: join(home.path, "chrome") };
    assert.equal(install(path, ["java", "chromium"], given).status, 0);
    assert.equal(install(path, ["java"]).status, 1);
    assert.equal(install(path, ["chromium"]).status, 1);
  });

  it("installs what is missing, and only that, where it may", () => {
    const { path, have } = machine({ ...root0, ...env, openssl: ":" });
    const log = join(path, "apt.log");
    have("apt-get", aptGet(log, path));
    const { status, stdout, stderr } = install(path, ["openssl", "prometheus"]);
    assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
    assert.match(stdout, /Not found: prometheus\. Installing/);
    const [update, installed = ""] = readFileSync(log, "utf8").split("\n");
    assert.equal(update, "update -qq");
    assert.match(installed, /^install .* prometheus$/);
  });

  it("says what is missing and how to get it, for a user who may not install", () => {
    const { path } = machine({ ...user, "apt-get": "exit 9", sudo: "exit 1" });
    const { status, stderr } = install(path, []);
    assert.equal(status, 1);
    assert.match(stderr, /sudo without a password/);
    assert.match(stderr, /not found: java mvn openssl ps docker-compose prometheus promtool chromium\./);
    assert.match(
      stderr,
      /apt-get install openjdk-\d+-jre-headless maven openssl procps docker-compose prometheus chromium fonts-liberation\n/,
    );
  });

  it("says so when apt-get has it not", () => {
    const { path, have } = machine({ ...root0, ...env });
    have("apt-get", aptGet(join(path, "apt.log"), path));
    const { status, stderr } = install(path, ["openssl", "docker-compose"]);
    assert.equal(status, 1);
    assert.match(stderr, /not found: docker-compose\./);
  });
});

describe("the programs that test files need", () => {
  const file = (name: string): string => fileURLToPath(new URL(`../${name}.test.js`, import.meta.url));

  it("are found by what they import, through others too", async () => {
    assert.deepEqual(await toolsFor([file("unit/phone")], false), []);
    assert.ok((await toolsFor([file("integration/prometheus")], true)).includes("prometheus"));
    assert.ok((await toolsFor([file("integration/kafka-security")], true)).includes("openssl"));
    assert.ok(!(await toolsFor([file("integration/quota")], true)).includes("prometheus"));
    assert.ok((await toolsFor([file("integration/quota")], true)).includes("java"));
  });

  it("are found for every test file there is", async () => {
    const all = ["unit", "integration"].flatMap((kind) => {
      const folder = fileURLToPath(new URL(`../${kind}/`, import.meta.url));
      return readdirSync(folder).flatMap((name) => (name.endsWith(".test.js") ? [join(folder, name)] : []));
    });
    const tools = await toolsFor(all, true);
    for (const tool of ["java", "openssl", "prometheus", "ps"]) assert.ok(tools.includes(tool), tool);
  });
});
