import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ConfigInput } from "../../src/config/schema.ts";
import type { User } from "./plain-login.ts";
import { type CliProcess, finished, runCli } from "./process.ts";
import { RELAY, type SecuredStack } from "./secured-stack.ts";
import { CLIENT } from "./token-server.ts";
import { waitFor } from "./wait.ts";

export type Access = Pick<ConfigInput["kafka"], "brokers" | "ssl" | "sasl">;
type Sasl = NonNullable<Access["sasl"]>;

/** Ways to a secured stack as the product's configuration says them, secrets in files, and what its commands say of them. */
export interface SecuredAccess {
  /** TLS that trusts the broker's authority, unless told otherwise. */
  over(listener: string, more?: Omit<Access, "brokers">): Access;
  passwordLogin(mechanism: "plain" | "scram-sha-256" | "scram-sha-512", user?: User): Promise<Sasl>;
  tokenLogin(different?: { url?: string; client?: { id: string; secret: string } }): Promise<Sasl>;
  /** A configuration file. */
  configuration(kafka: ConfigInput["kafka"], more?: Partial<ConfigInput>): Promise<string>;
  /** A secret in a file of its own; `reference` is how a configuration names it. */
  secretFile(secret: string): Promise<{ file: string; reference: string }>;
  /** The one line with which a command gave up, with exit code 1. */
  refusal(command: string, kafka: ConfigInput["kafka"], more?: Partial<ConfigInput>): Promise<string>;
  /** None of these showed a password, a key or a token. */
  assertKept(...processes: CliProcess[]): void;
}

/** Part of each secret of the tests. */
const SECRET = /Horse|PRIVATE KEY|eyJ/;

export function createSecuredAccess({
  listeners,
  authority,
  tokenServer,
  folder,
}: SecuredStack): SecuredAccess {
  const secretFile: SecuredAccess["secretFile"] = async (secret) => {
    const file = join(folder, randomUUID());
    await writeFile(file, `${secret}\n`);
    return { file, reference: `\${file:${file}}` };
  };
  const assertKept = (...processes: CliProcess[]): void => {
    for (const process of processes) assert.doesNotMatch(process.stdout() + process.stderr(), SECRET);
  };
  const configuration: SecuredAccess["configuration"] = async (kafka, more) => {
    const file = join(folder, `${randomUUID()}.json`);
    const auth = { clientId: "relay", clientSecret: "secret-of-cxone" };
    const environments = [{ name: "production", baseUrl: "http://127.0.0.1:9/", auth }];
    const config = { kafka, environments, server: { port: 0 }, gateway: { port: 0 }, ...more };
    await writeFile(file, JSON.stringify(config));
    return file;
  };

  return {
    secretFile,
    assertKept,
    configuration,
    over: (listener, more = {}) => ({
      brokers: [listeners[listener] ?? ""],
      ssl: { caFile: authority.caFile },
      ...more,
    }),
    passwordLogin: async (mechanism, { username, password } = RELAY) => ({
      mechanism,
      username,
      password: (await secretFile(password)).reference,
    }),
    tokenLogin: async ({ url = tokenServer.url, client = CLIENT } = {}) => ({
      mechanism: "oauthbearer",
      tokenUrl: url,
      clientId: client.id,
      clientSecret: (await secretFile(client.secret)).reference,
    }),
    async refusal(command, kafka, more) {
      await using cli = runCli([command, "--config", await configuration(kafka, more)]);
      assert.equal(await finished(cli), 1, cli.stderr());
      assertKept(cli);
      const said = cli.stderr();
      assert.match(said, /^optout-relay: [^\n]+\n$/, "one line, without a stack");
      return said;
    },
  };
}

export function assertQuiet(process: CliProcess): void {
  assert.equal(process.stderr(), "");
  const loud = process.logs().filter(({ level }) => !["trace", "debug", "info"].includes(level));
  assert.deepEqual(loud, [], "lines at warn or above");
}

export const urlOf = (process: CliProcess): Promise<string> =>
  waitFor("it to listen", () => {
    if (!process.running) throw new Error(process.stderr());
    const url = process.logs().find((line) => typeof line.url === "string")?.url;
    return typeof url === "string" && url;
  });

export const postOptOut = async (gateway: CliProcess, phone: string): Promise<Response> =>
  fetch(`${await urlOf(gateway)}/opt-out`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ phone, source: "web" }),
  });
