import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import { VERSION } from "../../src/version.ts";
import { type InstalledPackage, installPackage } from "../support/installed-package.ts";
import { finished, runCli } from "../support/process.ts";
import { createScenario, optOut, phoneOf } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { waitFor } from "../support/wait.ts";

describe("the package, installed from its tarball in an empty folder", () => {
  let installed: InstalledPackage;
  before(async () => {
    installed = await installPackage();
  });
  after(async () => {
    await installed?.[Symbol.asyncDispose]();
    await releaseStack();
  });

  const start = (args: string[], options: { input?: string } = {}) =>
    runCli(args, { ...options, cli: installed.cli });

  test("is a program that says its version and helps", () => {
    const [version, help] = ["--version", "--help"].map((flag) =>
      spawnSync(installed.cli, [flag], { encoding: "utf8" }),
    );
    assert.equal(version?.stdout, `${VERSION}\n`);
    assert.match(help?.stdout ?? "", /Usage: optout-relay/);
    assert.deepEqual([version?.status, help?.status], [0, 0]);
  });

  test("holds the program, its types and schemas, and no sources or tests", () => {
    for (const path of ["dist/cli.js", "schemas/config.schema.json", "LICENSE", "README.md"]) {
      assert.ok(installed.files.includes(path), path);
    }
    const others = installed.files.filter(
      (path) => !/^(dist\/.+\.(js|d\.ts)|schemas\/.+|LICENSE|README\.md|package\.json)$/.test(path),
    );
    assert.deepEqual(others, []);
  });

  test("lints events", async () => {
    await using lint = start(["lint"], { input: '{"phone":"(212) 555-0123"}\n' });
    assert.equal(await finished(lint), 0);
    assert.equal(JSON.parse(lint.stdout()).phone, "+12125550123");
  });

  test("delivers an opt-out from Kafka to its own simulator, once check finds nothing to mend", async () => {
    await using scenario = await createScenario({ environments: ["production"] });
    await using simulator = start(["simulator", "--port", "0", "--environments", "production"]);
    const baseUrl = await waitFor(
      "the simulator to say where it is",
      () => /http:\/\/\S+\/production/.exec(simulator.stdout())?.[0],
    );
    const { kafka, topics } = scenario.config;
    const config: ConfigInput = {
      kafka: { brokers: kafka.brokers, groupId: kafka.groupId, sessionTimeout: "6s" },
      topics,
      batching: { maxWait: "100ms" },
      environments: [{ name: "production", baseUrl, auth: { clientId: "a", clientSecret: "b" } }],
      server: { port: 0 },
    };
    const file = join(installed.folder, "relay.json");
    await writeFile(file, JSON.stringify(config));

    await using check = start(["check", "--config", file]);
    assert.equal(await finished(check), 0, check.stdout() + check.stderr());

    await using relay = start(["relay", "--config", file]);
    await scenario.produce([optOut(7)]);
    await scenario.allSettled();
    const list: unknown = await (await fetch(new URL("/_sim/production/entries", baseUrl).href)).json();
    assert.match(JSON.stringify(list), new RegExp(`"\\${phoneOf(7)}"`));
    for (const each of [relay, simulator]) {
      each.kill("SIGTERM");
      assert.deepEqual(await each.exit, { code: 0, signal: null }, each.stderr());
    }
  });
});
