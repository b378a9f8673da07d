import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { LocalStack } from "../../src/local-stack/local-stack.ts";
import { createAuthority, keyStoreOf } from "./certificates.ts";
import { plainListener } from "./plain-login.ts";
import { startTestStack } from "./stack.ts";

/** A broker of its own with a plain listener, one that wants a login, and one that wants TLS. */
export interface GuardedStack {
  readonly stack: LocalStack;
  readonly plain: string;
  /** SASL/PLAIN without TLS. */
  readonly login: string;
  /** With a certificate for 127.0.0.1 that only `caFile` vouches for. */
  readonly tls: string;
  readonly caFile: string;
  stop(): Promise<void>;
}

export const LOGIN = { username: "relay", password: "right-Horse-7291" };

export async function startGuardedStack(): Promise<GuardedStack> {
  const folder = await mkdtemp(join(tmpdir(), `optout-${basename(import.meta.url, ".js")}-`));
  const authority = await createAuthority(folder, "authority");
  const certificate = await authority.issue({ name: "broker", hosts: "IP:127.0.0.1" });
  const stack = await startTestStack({
    registry: false,
    listeners: {
      login: plainListener(LOGIN),
      tls: {
        protocol: "SSL",
        settings: { "ssl.keystore.type": "PEM", "ssl.keystore.location": await keyStoreOf(certificate) },
      },
    },
  });
  return {
    stack,
    plain: stack.brokers[0] ?? "",
    login: stack.listeners.login ?? "",
    tls: stack.listeners.tls ?? "",
    caFile: authority.caFile,
    async stop() {
      await stack.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
