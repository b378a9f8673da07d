import { messageOf, OptoutError } from "../errors.ts";

export interface KafkaErrorContext {
  /** kafka.brokers as configured. */
  brokers: readonly string[];
  /** What was asked for, if it was about one of these. */
  topic?: string;
  groupId?: string;
}

/** The broker's error code by name (such as `ILLEGAL_GENERATION`), from wherever kafkajs wrapped it. */
export function kafkaErrorType(error: unknown): string | undefined {
  for (const link of chainOf(error)) {
    const type = textField(link, "type");
    if (type !== undefined) return type;
  }
  return undefined;
}

/**
 * Whatever kafkajs rejected with → an error that says what happened, to what, and what to do. Of its codes,
 * `kafka_unreachable` may heal by itself; `kafka_unauthorized`, `topic_missing` and `configuration` want somebody.
 */
export function explainKafkaError(error: unknown, context: KafkaErrorContext): OptoutError {
  const chain = chainOf(error);
  const explained = chain.find((link) => link instanceof OptoutError);
  if (explained instanceof OptoutError) return explained;
  const failure = readFailure(chain);
  const [code, message] =
    ofCredentials(failure, context) ??
    ofPermissions(failure, context) ??
    ofTopics(failure, context) ??
    ofTls(failure) ??
    ofConnection(failure, context) ??
    ofRest(failure, context);
  return new OptoutError(code, message, { cause: error });
}

/** What this work rejects with is explained. */
export async function explained<T>(work: Promise<T>, context: KafkaErrorContext): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw explainKafkaError(error, context);
  }
}

interface Failure {
  type: string | undefined;
  /** Node's or OpenSSL's code, such as `ECONNREFUSED`. */
  code: string | undefined;
  broker: string | undefined;
  names: string[];
  message: string;
}

type Explanation = readonly [code: OptoutError["code"], message: string];

/** An error, its causes, and the errors gathered in it; outermost first. */
function chainOf(error: unknown): object[] {
  const chain: object[] = [];
  const queue: unknown[] = [error];
  for (let next = queue.shift(); next !== undefined && chain.length < 32; next = queue.shift()) {
    if (typeof next !== "object" || next === null || chain.includes(next)) continue;
    chain.push(next);
    if ("cause" in next) queue.push(next.cause ?? null);
    if ("errors" in next && Array.isArray(next.errors)) queue.push(...next.errors);
  }
  return chain;
}

function textField(link: object, key: string): string | undefined {
  const value: unknown = Reflect.get(link, key);
  return typeof value === "string" ? value : undefined;
}

function readFailure(chain: object[]): Failure {
  const first = (key: string): string | undefined =>
    chain.map((link) => textField(link, key)).find((value) => value !== undefined);
  return {
    type: first("type"),
    code: first("code"),
    broker: first("broker"),
    names: chain.map((link) => textField(link, "name") ?? ""),
    message: messageOf(chain[0] ?? "unknown error"),
  };
}

const SASL_TYPES = ["SASL_AUTHENTICATION_FAILED", "UNSUPPORTED_SASL_MECHANISM", "ILLEGAL_SASL_STATE"];

function ofCredentials(failure: Failure, { brokers }: KafkaErrorContext): Explanation | undefined {
  const { type = "", names, message } = failure;
  if (!names.includes("KafkaJSSASLAuthenticationError") && !SASL_TYPES.includes(type)) return undefined;
  const where = failure.broker ?? brokers.join(", ");
  if (type === "UNSUPPORTED_SASL_MECHANISM" || /mechanism is not supported/i.test(message)) {
    return [
      "kafka_unauthorized",
      `Kafka at ${where} doesn't offer the login mechanism of kafka.sasl.mechanism. ` +
        `Choose one the brokers have enabled (sasl.enabled.mechanisms). Kafka says: ${message}.`,
    ];
  }
  if (type === "ILLEGAL_SASL_STATE") {
    return [
      "configuration",
      `Kafka at ${where} takes no login on that listener. Remove kafka.sasl, or use the port of its SASL listener.`,
    ];
  }
  return [
    "kafka_unauthorized",
    `Kafka at ${where} refused the login. Check kafka.sasl (mechanism, username, password) ` +
      `and that the user exists on the brokers. Kafka says: ${trimmed(message)}.`,
  ];
}

function ofPermissions(
  { type }: Failure,
  { brokers, topic, groupId }: KafkaErrorContext,
): Explanation | undefined {
  const needed: Record<string, string> = {
    TOPIC_AUTHORIZATION_FAILED: `use the topic ${topic === undefined ? "it asked for" : `"${topic}"`}: grant it READ or WRITE, and DESCRIBE, on the topic (CREATE to create it)`,
    GROUP_AUTHORIZATION_FAILED: `join the consumer group ${groupId === undefined ? "of kafka.groupId" : `"${groupId}"`}: grant it READ on the group`,
    CLUSTER_AUTHORIZATION_FAILED: "do this on the cluster: grant it CREATE and DESCRIBE on the cluster",
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "use its transactional id: grant it WRITE on it",
  };
  const what = type === undefined ? undefined : needed[type];
  if (what === undefined) return undefined;
  return [
    "kafka_unauthorized",
    `Kafka at ${brokers.join(", ")} doesn't let this user ${what}, by an ACL of the brokers.`,
  ];
}

function ofTopics({ type, message }: Failure, { topic }: KafkaErrorContext): Explanation | undefined {
  const name = topic === undefined ? "A topic of the configuration" : `The topic "${topic}"`;
  switch (type) {
    case "UNKNOWN_TOPIC_OR_PARTITION":
      return [
        "topic_missing",
        `${name} doesn't exist, or this user may not see it. ` +
          "Run `optout-relay topics` to create what is missing, or correct the names under topics.",
      ];
    case "INVALID_REPLICATION_FACTOR":
      return [
        "configuration",
        `${name} can't have that many replicas: the cluster has fewer brokers. Lower --replication-factor.`,
      ];
    case "INVALID_PARTITIONS":
    case "INVALID_CONFIG":
    case "INVALID_TOPIC_EXCEPTION":
    case "POLICY_VIOLATION":
      return ["configuration", `${name} can't be created as asked: ${trimmed(message)}.`];
    default:
      return undefined;
  }
}

/** What the other side says of our certificate. */
const CERTIFICATE_ALERTS = /ALERT_(\w*CERT|UNKNOWN_CA)/;
const CERTIFICATE_CODES = /CERT|SIGNATURE|ISSUER|CRL|HOSTNAME_MISMATCH/;

function ofTls({ code = "", broker, message }: Failure): Explanation | undefined {
  const where = broker ?? "the broker";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return [
      "configuration",
      `The certificate of ${where} is for another host name. Use the name it was made for in kafka.brokers, ` +
        "or set kafka.ssl.servername.",
    ];
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return [
      "configuration",
      `The certificate of ${where} is out of date. Renew it, or correct this machine's clock.`,
    ];
  }
  if (CERTIFICATE_ALERTS.test(code)) {
    const alert = /alert ([a-z ]+):/.exec(message)?.[1] ?? code;
    return [
      "configuration",
      `Kafka at ${where} asks for a client certificate, and refuses the one it got, or that it got none (${alert}). ` +
        "Set kafka.ssl.certFile and keyFile to one that isn't expired and is signed by an authority the brokers trust (ssl.truststore).",
    ];
  }
  if (CERTIFICATE_CODES.test(code)) {
    return [
      "configuration",
      `The certificate of ${where} isn't trusted: ${trimmed(message)}. Set kafka.ssl.caFile to the authority that signed it.`,
    ];
  }
  if (code === "EPROTO" || code.startsWith("ERR_SSL") || code.startsWith("ERR_TLS")) {
    const plain = /wrong version number|packet length too long/i.test(message);
    const advice = plain
      ? "That listener doesn't speak TLS: set kafka.ssl to false, or use the port of its TLS listener."
      : "Check kafka.ssl, and whether the brokers ask for a client certificate (certFile, keyFile).";
    return ["configuration", `The TLS handshake with ${where} failed. ${advice}`];
  }
  return undefined;
}

/** "Broker not connected" is what becomes of a connection on which the first request had no answer. */
const NO_ANSWER = /timeout|timed out|broker not connected/i;

function ofConnection(failure: Failure, { brokers }: KafkaErrorContext): Explanation | undefined {
  const { code = "", broker, names, message } = failure;
  const where = broker ?? brokers.join(", ");
  const advertised =
    broker !== undefined && !brokers.includes(broker)
      ? " That address isn't in kafka.brokers: the brokers advertise it (advertised.listeners), so it must be reachable from here."
      : "";
  const configured = brokers.length > 1 ? `kafka.brokers (${brokers.join(", ")})` : "kafka.brokers";
  const unreachable = (what: string): Explanation => ["kafka_unreachable", what + advertised];
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return unreachable(
      `Can't reach Kafka at ${where}: the host name doesn't resolve. Check ${configured} and DNS.`,
    );
  }
  if (code === "ECONNREFUSED") {
    return unreachable(
      `Can't reach Kafka at ${where}: nothing listens there. Check that the brokers run, and ${configured}.`,
    );
  }
  if (/^E(HOST|NET)(UNREACH|DOWN)$/.test(code)) {
    return unreachable(
      `Can't reach Kafka at ${where}: no route to it (${code}). Check the network and ${configured}.`,
    );
  }
  if (/before secure TLS connection/.test(message)) {
    return unreachable(
      `Kafka at ${where} closed the connection during the TLS handshake. If it always does, that listener doesn't ` +
        "speak TLS: set kafka.ssl to false, or use the port of its TLS listener.",
    );
  }
  if (code === "ETIMEDOUT" || names.includes("KafkaJSRequestTimeoutError") || NO_ANSWER.test(message)) {
    return unreachable(
      `Kafka at ${where} didn't answer in time, or it is not Kafka's port. ` +
        "Check that the brokers are healthy and no firewall is between.",
    );
  }
  if (names.includes("KafkaJSConnectionClosedError") || code === "ECONNRESET" || code === "EPIPE") {
    return unreachable(
      `Kafka at ${where} closed the connection. It may be restarting; if it does so at once and always, ` +
        "that listener wants TLS (kafka.ssl) or a login (kafka.sasl), or a client certificate (kafka.ssl.certFile), " +
        "or it is not Kafka's port.",
    );
  }
  return undefined;
}

function ofRest({ type, names, message }: Failure, { brokers }: KafkaErrorContext): Explanation {
  if (type === "NOT_ENOUGH_REPLICAS" || type === "NOT_ENOUGH_REPLICAS_AFTER_APPEND") {
    return [
      "kafka_unreachable",
      "Kafka takes no records now: fewer replicas are in sync than min.insync.replicas asks for. Bring the missing brokers back.",
    ];
  }
  if (names.some((name) => name.startsWith("KafkaJS"))) {
    return ["kafka_unreachable", `A request to Kafka at ${brokers.join(", ")} failed: ${trimmed(message)}.`];
  }
  return ["internal", message];
}

const trimmed = (message: string): string =>
  message.replace(/^Connection error: /, "").replace(/(?<![.\s])[.\s]+$/, "");
