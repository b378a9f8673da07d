import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { loadConfig } from "../../src/config/load.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { normalizePhone } from "../../src/phone/normalize.ts";
import { STOP_WITHIN_MS } from "../../src/relay/relay.ts";
import { waitFor } from "../support/wait.ts";

const service = z.object({
  image: z.string(),
  command: z.array(z.string()).optional(),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.unknown()).default({}),
  stop_grace_period: z.string().optional(),
  read_only: z.boolean().optional(),
  cap_drop: z.array(z.string()).optional(),
});
const { services } = z
  .object({ services: z.record(z.string(), service) })
  .parse(parse(readPackageFile("docker-compose.yml"), { merge: true }));
const ours = Object.entries(services).filter(([, { image }]) => image.startsWith("optout-relay:"));
const dockerfile = readPackageFile("Dockerfile");
const config = loadConfig({ file: resolve("deploy/compose/relay.yaml"), env: {} });

describe("docker compose up", () => {
  test("starts all of the product, each service a command that there is", () => {
    const cli = readPackageFile("src/cli.ts");
    const commands = ours.flatMap(([, { command = [] }]) => command.slice(0, 1));
    assert.deepEqual(commands.sort(), ["gateway", "relay", "simulator", "topics"]);
    for (const command of commands) assert.match(cli, new RegExp(`^  ${command}: async`, "m"));
  });

  test("mounts files that are there, and waits for services that are there", () => {
    for (const [name, { volumes, depends_on: awaited }] of Object.entries(services)) {
      for (const [path = ""] of volumes.map((volume) => volume.split(":"))) {
        if (path.startsWith(".")) assert.ok(existsSync(resolve(path)), `${name}: ${path}`);
      }
      for (const other of Object.keys(awaited)) assert.ok(other in services, `${name}: ${other}`);
    }
  });

  test("is configured for its own names and ports, and opens none to the network", () => {
    const hosts = [
      ...config.kafka.brokers.map((broker) => broker.split(":")[0] ?? ""),
      ...[config.schemaRegistry?.url ?? "", ...config.environments.map(({ baseUrl }) => baseUrl)].map(
        (url) => new URL(url).hostname,
      ),
    ];
    for (const host of hosts) assert.ok(host in services, host);
    for (const [name, port] of [
      ["relay", config.server.port],
      ["gateway", config.gateway.port],
    ] as const) {
      assert.deepEqual(services[name]?.ports, [`127.0.0.1:${port}:${port}`]);
    }
    for (const port of Object.values(services).flatMap(({ ports }) => ports)) {
      assert.match(port, /^127\.0\.0\.1:/);
    }
  });

  test("lets its containers write nowhere, and gives them time to stop", () => {
    for (const [name, { read_only: readOnly, cap_drop: dropped, stop_grace_period: grace = "" }] of ours) {
      assert.deepEqual({ readOnly, dropped }, { readOnly: true, dropped: ["ALL"] }, name);
      assert.ok(Number.parseInt(grace, 10) * 1_000 > STOP_WITHIN_MS, name);
    }
  });

  test("sends sample opt-outs that are ones, but for a broken one now and then", async () => {
    const phones: string[] = [];
    const gateway = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += String(chunk);
      phones.push(z.object({ phone: z.string() }).parse(JSON.parse(body)).phone);
      response.writeHead(202).end();
    });
    gateway.listen(0, "127.0.0.1");
    await once(gateway, "listening");
    const address = gateway.address();
    assert.ok(typeof address === "object" && address !== null);
    const env = { ...process.env, GATEWAY: `http://127.0.0.1:${address.port}`, EVERY_MS: "1" };
    const traffic = spawn(process.execPath, ["deploy/compose/traffic.mjs"], { env, stdio: "inherit" });
    try {
      await waitFor("samples", () => phones.length >= 40);
      traffic.kill("SIGTERM");
      assert.deepEqual(await once(traffic, "exit"), [0, null]);
    } finally {
      traffic.kill("SIGKILL");
      gateway.closeAllConnections();
      gateway.close();
    }
    const broken = phones.slice(0, 40).filter((phone) => !normalizePhone(phone, "US").ok);
    assert.deepEqual(broken, ["12", "12"]);
  });
});

describe("the image", () => {
  test("is made of files that are there, and let through by .dockerignore", () => {
    const allowed = readPackageFile(".dockerignore")
      .split("\n")
      .flatMap((line) => (line.startsWith("!") ? [line.slice(1)] : []));
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names = ""]) =>
      names.split(" ").map((name) => name.replace(/^\.\//, "")),
    );
    assert.deepEqual([...new Set(copied)].sort(), allowed.sort());
    for (const name of copied) assert.ok(existsSync(resolve(name)), name);
  });

  test("runs as a user who isn't root, by number, and as the process that gets the signals", () => {
    assert.match(dockerfile, /^USER [1-9]\d*:[1-9]\d*$/m);
    assert.match(dockerfile, /^ENTRYPOINT \["node", "dist\/cli\.js"\]$/m);
    assert.match(dockerfile, new RegExp(`127\\.0\\.0\\.1:${config.server.port}/livez`));
  });
});
