import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { type LocalStack, startLocalStack } from "../../src/local-stack/local-stack.ts";
import { findFreePorts } from "../../src/local-stack/ports.ts";
import { findToolchain } from "../../src/local-stack/toolchain.ts";

const run = promisify(execFile);

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

const STORE_PASSWORD = "changeit";

async function makeCertificate(folder: string): Promise<{ store: string; caFile: string }> {
  const { java } = await findToolchain(false);
  const keytool = java.command.includes("/") ? join(dirname(java.command), "keytool") : "keytool";
  const store = join(folder, "broker.p12");
  const caFile = join(folder, "ca.pem");
  const common = [
    "-alias",
    "broker",
    "-keystore",
    store,
    "-storetype",
    "PKCS12",
    "-storepass",
    STORE_PASSWORD,
  ];
  const kind = ["-keyalg", "EC", "-dname", "CN=broker", "-ext", "san=ip:127.0.0.1", "-validity", "3"];
  await run(keytool, ["-genkeypair", ...common, ...kind]);
  await run(keytool, ["-exportcert", "-rfc", "-file", caFile, ...common]);
  return { store, caFile };
}

export async function startGuardedStack(): Promise<GuardedStack> {
  const folder = await mkdtemp(join(tmpdir(), `optout-${basename(import.meta.url, ".js")}-`));
  const { store, caFile } = await makeCertificate(folder);
  const [brokerPort = 0, loginPort, tlsPort, controllerPort] = await findFreePorts(4);
  const plain = `127.0.0.1:${brokerPort}`;
  const login = `127.0.0.1:${loginPort}`;
  const tls = `127.0.0.1:${tlsPort}`;
  const controller = `127.0.0.1:${controllerPort}`;
  const forClients = `PLAINTEXT://${plain},LOGIN://${login},TLS://${tls}`;
  const stack = await startLocalStack({
    registry: false,
    brokerPort,
    brokerConfig: {
      "controller.quorum.voters": `1@${controller}`,
      listeners: `${forClients},CONTROLLER://${controller}`,
      "advertised.listeners": forClients,
      "listener.security.protocol.map":
        "PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SSL,CONTROLLER:PLAINTEXT",
      "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
      "listener.name.login.plain.sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required user_${LOGIN.username}="${LOGIN.password}";`,
      "listener.name.tls.ssl.keystore.type": "PKCS12",
      "listener.name.tls.ssl.keystore.location": store,
      "listener.name.tls.ssl.keystore.password": STORE_PASSWORD,
    },
  });
  return {
    stack,
    plain,
    login,
    tls,
    caFile,
    async stop() {
      await stack.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
