import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { Kafka, type KafkaConfig, type SASLOptions } from "kafkajs";
import type { Config } from "../config/schema.ts";
import { messageOf, OptoutError } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";
import { registerCodecs } from "./codecs.ts";
import { createLogBridge, kafkaLogLevel } from "./logging.ts";
import { createOauthTokenSource } from "./oauth.ts";
import { mendRequestQueue } from "./quirks.ts";
import { createSocketPool, type SocketPool } from "./sockets.ts";

/** Milliseconds. kafkajs' own second is too short for TLS to another region. */
const CONNECTION_TIMEOUT_MS = 5_000;
const AUTHENTICATION_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 15_000;
/** 0.2 s doubling to 3 s, six retries: absent brokers are reported after about ten seconds. Who can wait tries again. */
const RETRY = { initialRetryTime: 200, maxRetryTime: 3_000, retries: 6 };

const socketsOf = new WeakMap<Kafka, SocketPool>();

/**
 * A kafkajs client for our configuration: reads every compression, logs into our logger without noise.
 * Nothing is connected yet. Throws an OptoutError `configuration` when a certificate file can't be read.
 */
export function createKafka(config: Config["kafka"], logger: Logger): Kafka {
  registerCodecs();
  mendRequestQueue();
  const sockets = createSocketPool();
  const options: KafkaConfig = {
    brokers: [...config.brokers],
    clientId: config.clientId,
    ssl: tlsOptions(config.ssl),
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    authenticationTimeout: AUTHENTICATION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    retry: RETRY,
    socketFactory: sockets.connect,
    logLevel: kafkaLogLevel(logger),
    logCreator: createLogBridge(logger),
  };
  if (config.sasl !== undefined) options.sasl = saslOptions(config.sasl);
  const kafka = new Kafka(options);
  socketsOf.set(kafka, sockets);
  return kafka;
}

/**
 * The end of a client whose producers, consumers and admins are disconnected. A retry that kafkajs still had under way
 * then would connect again, and that connection would hold the process for ever; from here on there is none.
 */
export const closeKafka = (kafka: Kafka): void => socketsOf.get(kafka)?.close();

function tlsOptions(ssl: Config["kafka"]["ssl"]): boolean | ConnectionOptions {
  if (typeof ssl === "boolean") return ssl;
  const { caFile, certFile, keyFile, servername, rejectUnauthorized } = ssl;
  return {
    rejectUnauthorized,
    ...(caFile !== undefined && { ca: readPem("caFile", caFile) }),
    ...(certFile !== undefined && { cert: readPem("certFile", certFile) }),
    ...(keyFile !== undefined && { key: readPem("keyFile", keyFile) }),
    ...(servername !== undefined && { servername }),
  };
}

function readPem(key: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new OptoutError("configuration", `Can't read the file of kafka.ssl.${key}: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

function saslOptions(sasl: NonNullable<Config["kafka"]["sasl"]>): SASLOptions {
  if (sasl.mechanism === "oauthbearer") {
    return { mechanism: "oauthbearer", oauthBearerProvider: createOauthTokenSource(sasl) };
  }
  const { mechanism, username, password } = sasl;
  return { mechanism, username, password };
}
