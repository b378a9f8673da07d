import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { VERSION } from "../../src/version.ts";
import { fencesOf, linksOf } from "../support/doc-steps.ts";
import { apiPage, compile, type InstalledPackage, installPackage } from "../support/installed-package.ts";
import { startLineApi } from "../support/line-api.ts";
import { finished, runCli } from "../support/process.ts";
import { createScenario, optOut, phoneOf, phones } from "../support/scenario.ts";
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

  test("holds the program, its types, schemas, documentation and what that deploys, and no sources or tests", () => {
    for (const path of ["dist/cli.js", "schemas/config.schema.json", "LICENSE"]) {
      assert.ok(installed.files.includes(path), path);
    }
    const others = installed.files.filter(
      (path) =>
        !/^(dist\/.+\.(js|d\.ts)|(schemas|docs|deploy)\/.+|LICENSE|[A-Z]+\.md|package\.json)$/.test(path),
    );
    assert.deepEqual(others, []);
  });

  test("holds what its pages link to, but for the bench", async () => {
    const pages = installed.files.filter((path) => path.endsWith(".md"));
    assert.ok(pages.includes("README.md") && pages.includes("docs/runbook.md"));
    const targets = await Promise.all(
      pages.map(async (page) => linksOf(page, await readFile(join(installed.root, page), "utf8"))),
    );
    const missing = targets
      .flat()
      .filter(({ file }) => !file.startsWith("bench/") && !existsSync(join(installed.root, file)));
    assert.deepEqual(missing, []);
  });

  test("shows all of it at once: a Kafka that it starts, and opt-outs that arrive everywhere", async () => {
    await using quickstart = start(["quickstart", "--exit", "--events", "30"]);
    assert.equal(await finished(quickstart), 0, quickstart.stdout() + quickstart.stderr());
    assert.match(quickstart.stdout(), /All 30 settled in/);
  });

  test("lints events", async () => {
    await using lint = start(["lint"], { input: '{"phone":"(212) 555-0123"}\n' });
    assert.equal(await finished(lint), 0);
    assert.equal(JSON.parse(lint.stdout()).phone, "+12125550123");
  });

  test("exports what docs/reference/api.md says (OPTOUT_TEST_UPDATE=1 writes it anew)", async () => {
    const exported: unknown = await import(join(installed.root, "dist/index.js"));
    assert.deepEqual(Object.keys(exported ?? {}).sort(), ["OptoutError", "createRelay", "z"]);
    const text = await apiPage(join(installed.root, "dist"));
    if (process.env.OPTOUT_TEST_UPDATE) await writeFile("docs/reference/api.md", text);
    assert.equal(readPackageFile("docs/reference/api.md"), text);
  });

  test("runs the program of docs/how-to/embed.md: a relay with a dialect of its own, from a real Kafka", async () => {
    await using scenario = await createScenario({ environments: ["lists"] });
    await using api = await startLineApi();
    const { brokers, groupId } = scenario.config.kafka;
    const [program] = fencesOf("docs/how-to/embed.md").filter(({ language }) => language === "ts");
    assert.ok(program !== undefined);
    const source = program.text.replace("http://localhost:8088", api.url);
    await writeFile(join(installed.folder, "embed.ts"), source);
    await compile(installed.folder, "embed.ts");
    await writeFile(
      join(installed.folder, "wrong.ts"),
      source.replace("maxEntries: 100", 'maxEntries: "many"'),
    );
    await assert.rejects(
      compile(installed.folder, "wrong.ts"),
      /'string' is not assignable to type 'number'/,
    );

    await using embedding = runCli([], {
      cli: join(installed.folder, "embed.js"),
      env: {
        OPTOUT_KAFKA__BROKERS: brokers.join(","),
        OPTOUT_KAFKA__GROUP_ID: groupId,
        OPTOUT_TOPICS__EVENTS: scenario.config.topics.events,
        OPTOUT_TOPICS__STATUS: scenario.config.topics.status,
        OPTOUT_TOPICS__DEAD_LETTER: scenario.config.topics.deadLetter,
      },
    });
    await scenario.produce([optOut(0), optOut(1), optOut(2)]);
    await waitFor("the records to be settled", async () => {
      assert.ok(embedding.running, embedding.stdout() + embedding.stderr());
      return (await scenario.statuses()).length === 3;
    });
    assert.deepEqual([...api.lines].sort(), phones(0, 3).sort());
    assert.deepEqual(new Set(api.apiKeys), new Set(["k"]));
    embedding.kill("SIGTERM");
    assert.deepEqual(await embedding.exit, { code: 0, signal: null }, embedding.stderr());
    assert.ok((await scenario.statuses()).every(({ outcome }) => outcome === "delivered"));
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
