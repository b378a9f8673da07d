import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { runChecks } from "../../src/check/check.ts";
import type { Finding } from "../../src/check/finding.ts";
import { parseConfig } from "../../src/config/load.ts";
import type { ConfigInput } from "../../src/config/schema.ts";

/** Takes connections, and says nothing on them. */
export interface Silence {
  readonly address: string;
  close(): void;
}

export async function startSilence(): Promise<Silence> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export type CheckInput = ConfigInput & { topics: { events: string; status: string; deadLetter: string } };

/** A configuration with topics and a group of its own, which aren't there yet. */
export function newInput(brokers: string[], environments: ConfigInput["environments"]): CheckInput {
  const id = randomUUID().slice(0, 8);
  return {
    kafka: { brokers: [...brokers], groupId: `check-${id}` },
    topics: { events: `events-${id}`, status: `status-${id}`, deadLetter: `dead-${id}` },
    environments,
  };
}

/** `timeout` in milliseconds. */
export const check = (input: ConfigInput, timeout = 20_000): Promise<Finding[]> =>
  runChecks(parseConfig(input), { timeout });

/** What isn't ok, as `area check result`. */
export const troubles = (findings: readonly Finding[]): string[] =>
  findings
    .filter(({ result }) => result !== "ok")
    .map(({ area, check: what, result }) => `${area} ${what} ${result}`);

/** The only finding that isn't ok; it has a remedy. The registry's, where none is configured, doesn't count. */
export function only(findings: readonly Finding[], trouble: string): Finding {
  assert.deepEqual(troubles(findings), [trouble]);
  const found = findings.find(({ result }) => result !== "ok");
  assert.ok(found);
  assert.notEqual(found.remedy, null);
  return found;
}
