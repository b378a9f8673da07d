import type { ConnectionOptions } from "node:tls";
import { Kafka, type KafkaConfig, type Mechanism, type SASLOptions } from "kafkajs";
import type { Config } from "../config/schema.ts";
import type { Logger } from "../observability/logger.ts";
import { registerCodecs } from "./codecs.ts";
import { createLogBridge, kafkaLogLevel } from "./logging.ts";
import { createOauthTokenSource, type OauthOptions, oauthAuthenticator } from "./oauth.ts";
import { mendRequestQueue } from "./quirks.ts";
import { mendReauthentication } from "./reauthentication.ts";
import { createSocketPool, type SocketPool } from "./sockets.ts";
import { createTlsOptions } from "./tls.ts";

/** Milliseconds. kafkajs' own second is too short for TLS to another region. */
const CONNECTION_TIMEOUT_MS = 5_000;
const AUTHENTICATION_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 15_000;
/** 0.2 s doubling to 3 s, six retries: absent brokers are reported after about ten seconds. Who can wait tries again. */
const RETRY = { initialRetryTime: 200, maxRetryTime: 3_000, retries: 6 };

type Ssl = Config["kafka"]["ssl"];
type Sasl = NonNullable<Config["kafka"]["sasl"]>;

type PasswordSasl = Exclude<Sasl, { mechanism: "oauthbearer" }>;

const socketsOf = new WeakMap<Kafka, SocketPool>();

/**
 * A kafkajs client for our configuration: reads every compression, logs into our logger without noise.
 * Nothing is connected yet. Throws an OptoutError `configuration` when a certificate file can't be read or used.
 * @param readSasl gives `kafka.sasl` as it is now, for each login: for a process that outlives its secrets, see `rereadable`.
 */
export function createKafka(
  config: Config["kafka"],
  logger: Logger,
  readSasl: () => Sasl | undefined = () => config.sasl,
): Kafka {
  registerCodecs();
  mendRequestQueue();
  mendReauthentication();
  const sockets = createSocketPool(tlsOptions(config.ssl, logger));
  const options: KafkaConfig = {
    brokers: [...config.brokers],
    clientId: config.clientId,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    authenticationTimeout: AUTHENTICATION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    retry: RETRY,
    socketFactory: sockets.connect,
    logLevel: kafkaLogLevel(logger),
    logCreator: createLogBridge(logger),
  };
  if (config.sasl !== undefined) options.sasl = saslOptions(config.sasl, readSasl, logger);
  const kafka = new Kafka(options);
  socketsOf.set(kafka, sockets);
  return kafka;
}

/**
 * The end of a client whose producers, consumers and admins are disconnected. A retry that kafkajs still had under way
 * then would connect again, and that connection would hold the process for ever; from here on there is none.
 */
export const closeKafka = (kafka: Kafka): void => socketsOf.get(kafka)?.close();

function tlsOptions(ssl: Ssl, logger: Logger): (() => ConnectionOptions) | undefined {
  if (ssl === false) return undefined;
  return ssl === true ? () => ({}) : createTlsOptions(ssl, logger);
}

function saslOptions(initial: Sasl, read: () => Sasl | undefined, logger: Logger): SASLOptions | Mechanism {
  if (initial.mechanism !== "oauthbearer") return passwordOptions(initial, read);
  const readOauth = (): OauthOptions => {
    const sasl = read();
    return sasl?.mechanism === "oauthbearer" ? sasl : initial;
  };
  return {
    mechanism: "oauthbearer",
    authenticationProvider: oauthAuthenticator(createOauthTokenSource(readOauth, logger)),
  };
}

function passwordOptions(initial: PasswordSasl, read: () => Sasl | undefined): SASLOptions {
  const current = (): PasswordSasl => {
    const sasl = read();
    return sasl === undefined || sasl.mechanism === "oauthbearer" ? initial : sasl;
  };
  const { mechanism } = initial;
  // kafkajs reads both anew for each login.
  return {
    mechanism,
    get username() {
      return current().username;
    },
    get password() {
      return current().password;
    },
  };
}
