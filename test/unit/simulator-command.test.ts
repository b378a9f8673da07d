import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { describe, type TestContext, test } from "node:test";
import { CommanderError } from "commander";
import { simulatorCommand } from "../../src/commands/simulator.ts";
import { NAME, startSimulator } from "./simulator-client.ts";

const commandUrl = new URL("../../src/commands/simulator.js", import.meta.url).href;
const script = `const { simulatorCommand } = await import(${JSON.stringify(commandUrl)});
await simulatorCommand().parseAsync(process.argv.slice(1), { from: "user" });`;

const startCommand = (t: TestContext, args: string[]): ChildProcessByStdio<null, Readable, Readable> => {
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, "--", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  return child;
};

/** Reads lines up to the one that ends the banner. */
const bannerOf = async (output: Readable): Promise<string> => {
  const lines: string[] = [];
  for await (const line of createInterface({ input: output })) {
    lines.push(line);
    if (line.includes("-X DELETE")) break;
  }
  return lines.join("\n");
};

describe("optout-relay simulator", () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`prints the base URLs and an example, serves them, and ends cleanly on ${signal}`, async (t) => {
      const child = startCommand(t, ["--port", "0", "--environments", "production, us-west"]);
      const errors: string[] = [];
      child.stderr.on("data", (chunk) => errors.push(String(chunk)));
      const exit = once(child, "exit");
      const banner = await bannerOf(child.stdout);
      const [, baseUrl = ""] = /us-west +(http:\/\/127\.0\.0\.1:\d+\/us-west)$/m.exec(banner) ?? [];
      assert.match(banner, /curl .*\/production\/oauth\/token/);
      assert.match(banner, /compliance-dnc and admin-dnc-groups/);
      const form = "grant_type=client_credentials&client_id=a&client_secret=b&scope=dnc:write";
      const response = await fetch(`${baseUrl}/oauth/token`, {
        method: "POST",
        body: new URLSearchParams(form),
      });
      assert.equal(response.status, 200);
      child.kill(signal);
      assert.deepEqual(await exit, [0, null]);
      assert.deepEqual(errors, []);
    });
  }

  test("the default is port 9099 on loopback and three environments with a quota of 100", () => {
    assert.deepEqual(simulatorCommand().opts(), {
      port: 9099,
      host: "127.0.0.1",
      environments: ["production", "us-west", "eu-central"],
      requestsPerSecond: 100,
    });
  });

  test("a port in use is an error that says what to do", async (t) => {
    const simulator = await startSimulator(t);
    const { port } = new URL(simulator.url);
    await assert.rejects(simulatorCommand().parseAsync(["--port", port], { from: "user" }), {
      name: "OptoutError",
      message: /another process has it.*choose another port/,
    });
  });

  for (const args of [
    ["--port", "65536"],
    ["--port", "http"],
    ["--requests-per-second", "0"],
  ]) {
    test(`${args.join(" ")} is wrong usage`, async () => {
      const command = simulatorCommand()
        .exitOverride()
        .configureOutput({ writeErr: () => {} });
      await assert.rejects(
        command.parseAsync(args, { from: "user" }),
        (error) => error instanceof CommanderError && error.code === "commander.invalidArgument",
      );
    });
  }

  test("no environment, or one that can't be a path, is wrong usage", async () => {
    for (const names of [",", `${NAME},us west`]) {
      const args = ["--port", "0", "--environments", names];
      await assert.rejects(simulatorCommand().parseAsync(args, { from: "user" }), {
        name: "OptoutError",
        code: "usage",
      });
    }
  });
});
