import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { commandEnv } from "../support/command-env.ts";
import { docPages, missingOf, type Step, stepsOf } from "../support/doc-steps.ts";
import { CLI, runCli } from "../support/process.ts";
import { createScenario, optOut, phoneOf } from "../support/scenario.ts";
import { releaseStack, sharedStack } from "../support/stack.ts";
import { PATIENCE_MS, waitFor } from "../support/wait.ts";

describe("what the documentation says to type", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "optout-docs-"));
    await mkdir(join(folder, "secrets"));
    await symlink(resolve("deploy"), join(folder, "deploy"));
    // As in a checkout, where `npx optout-relay` is the program that was built.
    await writeFile(join(folder, "npx"), `#!/bin/sh\nshift\nexec "${process.execPath}" "${CLI}" "$@"\n`, {
      mode: 0o755,
    });
  });
  after(async () => {
    await rm(folder, { recursive: true, force: true });
    await releaseStack();
  });

  async function runOnce(command: string, env: Record<string, string>) {
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(OPTOUT|OTEL)_/.test(name)),
    );
    const text = command.replaceAll("/run/secrets", join(folder, "secrets"));
    const child = spawn("bash", ["-euo", "pipefail", "-c", text], {
      cwd: folder,
      env: { ...inherited, ...env, PATH: `${folder}:${process.env.PATH}` },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: PATIENCE_MS,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (part: string) => {
        output += part;
      });
    const [code] = await once(child, "close");
    return { code, output };
  }

  /** A person takes longer to type than an opt-out to arrive, so what isn't seen yet is looked for again. */
  const follow = (step: Step, env: Record<string, string>): Promise<string> =>
    waitFor(step.command, async () => {
      const { code, output } = await runOnce(step.command, env);
      assert.equal(code, 0, output);
      const missing = missingOf(step, output);
      assert.equal(missing, undefined, `not printed: ${missing}\n${output}`);
      return `${output}\n`;
    });

  test("in the tutorial, against a quickstart that runs", async () => {
    const { brokers, registryUrl } = await sharedStack();
    const args = ["--brokers", brokers.join(","), "--registry", registryUrl, "--events", "30"];
    await using quickstart = runCli(["quickstart", ...args]);
    const said = await waitFor("the quickstart to say what to try", () => {
      assert.ok(quickstart.running, quickstart.stdout() + quickstart.stderr());
      return quickstart.stdout().includes("Ctrl-C stops it") && quickstart.stdout();
    });
    const env = {
      GATEWAY: /curl (\S+)\/opt-out/.exec(said)?.[1] ?? "",
      SIMULATOR: /curl (\S+)\/_sim/.exec(said)?.[1] ?? "",
      CONFIG: /--config (\S+)/.exec(said)?.[1] ?? "",
    };
    const steps = stepsOf("docs/tutorial.md");
    assert.ok(steps.length > 6);
    for (const step of steps) await follow(step, env);
    quickstart.kill("SIGINT");
    assert.deepEqual(await quickstart.exit, { code: 0, signal: null });
  });

  test("in every how-to, the runbook and the page on compliance, against a relay that has delivered, and rejected", async () => {
    await using scenario = await createScenario({ environments: ["production"] });
    scenario.simulator.setFaults("production", { rejectPhones: [phoneOf(1)] });
    await scenario.startRelay();
    await scenario.produce([optOut(0), optOut(1), { value: "{}" }]);
    await scenario.allSettled();
    await writeFile(join(folder, "relay.yaml"), "logging: {level: info}\n");
    await writeFile(join(folder, "secrets/cxone"), "old");
    const env = { ...commandEnv(scenario.config), NEW_SECRET: "new" };
    const pages = docPages().filter((page) => /^docs\/(how-to\/|runbook|compliance)/.test(page));
    const steps = pages.flatMap(stepsOf);
    assert.ok(steps.length > 10);
    // Several pages ask for the same; what it printed for one is as good for the next.
    const printed = new Map<string, string>();
    for (const step of steps) {
      const before = printed.get(step.command);
      if (before !== undefined && missingOf(step, before) === undefined) continue;
      printed.set(step.command, await follow(step, env));
    }
  });
});
