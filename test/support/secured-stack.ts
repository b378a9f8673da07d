import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Listener } from "../../src/local-stack/kafka-broker.ts";
import type { LocalStack } from "../../src/local-stack/local-stack.ts";
import { type Authority, type Certificate, createAuthority, keyStoreOf } from "./certificates.ts";
import { plainLogin } from "./plain-login.ts";
import { startTestStack } from "./stack.ts";
import { AUDIENCE, createTokenServer, ISSUER, type TokenServer } from "./token-server.ts";

/** May log in by PLAIN and by SCRAM, and do everything that no ACL forbids. */
export const RELAY = { username: "relay", password: "right-Horse-7291" };
/** As RELAY; tests forbid it something. */
export const LIMITED = { username: "limited", password: "limited-Horse-3308" };

/** The session of whoever logs in at the listener `brief`, in milliseconds. */
export const BRIEF_SESSION_MS = 4_000;

/**
 * One broker with a listener for each way to be let in:
 * `tls`, `mtls` (asks for a client's certificate), `elsewhere` (its certificate is for kafka.internal), `expired`;
 * `login` (TLS; PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), `oauth` (TLS; OAUTHBEARER), and `brief` (PLAIN, OAUTHBEARER; sessions
 * of BRIEF_SESSION_MS). At the plain one everybody is a super user.
 */
export interface SecuredStack {
  readonly stack: LocalStack;
  readonly plain: string;
  readonly listeners: Record<string, string>;
  readonly folder: string;
  readonly authority: Authority;
  /** Of another authority than the broker's, with the same name. */
  readonly stranger: Authority;
  /** A certificate that the broker accepts. */
  readonly client: Certificate;
  readonly tokenServer: TokenServer;
  stop(): Promise<void>;
}

const HERE = "IP:127.0.0.1,DNS:localhost";

const scramLogin = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
const oauthLogin = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";

const oauthSettings = (jwksUrl: string): Record<string, string> => ({
  "oauthbearer.sasl.jaas.config": oauthLogin,
  "oauthbearer.sasl.server.callback.handler.class":
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler",
  "sasl.oauthbearer.jwks.endpoint.url": jwksUrl,
  // Kafka 4.4 doesn't start without these.
  "sasl.oauthbearer.expected.issuer": ISSUER,
  "sasl.oauthbearer.expected.audience": AUDIENCE,
  // The default of Kafka 4.1 takes tokens without looking at their signature.
  "sasl.oauthbearer.jwt.validator.class": "org.apache.kafka.common.security.oauthbearer.BrokerJwtValidator",
});

const briefly = (...mechanisms: string[]): Record<string, string> =>
  Object.fromEntries(
    mechanisms.map((mechanism) => [`${mechanism}.connections.max.reauth.ms`, String(BRIEF_SESSION_MS)]),
  );

async function listenersFor(authority: Authority, jwksUrl: string): Promise<Record<string, Listener>> {
  const keyStore = async (options: Parameters<Authority["issue"]>[0]) => ({
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": await keyStoreOf(await authority.issue(options)),
  });
  const here = await keyStore({ name: "broker", hosts: HERE });
  return {
    tls: { protocol: "SSL", settings: here },
    mtls: {
      protocol: "SSL",
      settings: {
        ...here,
        "ssl.client.auth": "required",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority.caFile,
      },
    },
    elsewhere: {
      protocol: "SSL",
      settings: await keyStore({ name: "elsewhere", hosts: "DNS:kafka.internal" }),
    },
    expired: { protocol: "SSL", settings: await keyStore({ name: "expired", hosts: HERE, days: 0 }) },
    login: {
      protocol: "SASL_SSL",
      settings: {
        ...here,
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "plain.sasl.jaas.config": plainLogin(RELAY, LIMITED),
        "scram-sha-256.sasl.jaas.config": scramLogin,
        "scram-sha-512.sasl.jaas.config": scramLogin,
      },
    },
    oauth: {
      protocol: "SASL_SSL",
      settings: { ...here, "sasl.enabled.mechanisms": "OAUTHBEARER", ...oauthSettings(jwksUrl) },
    },
    brief: {
      protocol: "SASL_PLAINTEXT",
      settings: {
        "sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
        "plain.sasl.jaas.config": plainLogin(RELAY, LIMITED),
        ...oauthSettings(jwksUrl),
        ...briefly("plain", "oauthbearer"),
      },
    },
  };
}

export async function startSecuredStack(): Promise<SecuredStack> {
  const folder = await mkdtemp(join(tmpdir(), "optout-secured-"));
  const [authority, stranger] = [
    await createAuthority(folder, "authority"),
    await createAuthority(folder, "stranger"),
  ];
  const jwksFile = join(folder, "jwks.json");
  const tokenServer = await createTokenServer(jwksFile);
  const jwksUrl = pathToFileURL(jwksFile).href;
  const starting = startTestStack({
    registry: false,
    listeners: await listenersFor(authority, jwksUrl),
    scramUsers: (["SCRAM-SHA-256", "SCRAM-SHA-512"] as const).map((mechanism) => ({
      mechanism,
      name: RELAY.username,
      password: RELAY.password,
    })),
    systemProperties: { "org.apache.kafka.sasl.oauthbearer.allowed.urls": jwksUrl },
    brokerConfig: {
      "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users": "User:ANONYMOUS",
      "allow.everyone.if.no.acl.found": "true",
    },
  });
  // Else the tests would never end.
  const stack = await starting.catch(async (error: unknown) => {
    await tokenServer.close();
    throw error;
  });
  return {
    stack,
    plain: stack.brokers[0] ?? "",
    listeners: stack.listeners,
    ...{ folder, authority, stranger, tokenServer },
    client: await authority.issue({ name: "relay" }),
    async stop() {
      await stack.stop();
      await tokenServer.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
