import assert from "node:assert/strict";
import { test } from "node:test";
import kafkajs from "kafkajs";
import { OptoutError } from "../../src/errors.ts";
import { explainKafkaError, kafkaErrorType } from "../../src/kafka/errors.ts";

const brokers = ["kafka-1:9092", "kafka-2:9092"];
const {
  KafkaJSConnectionError,
  KafkaJSNonRetriableError,
  KafkaJSNumberOfRetriesExceeded,
  KafkaJSProtocolError,
} = kafkajs;

const connection = (message: string, code: string, broker = "kafka-1:9092") =>
  new KafkaJSConnectionError(`Connection error: ${message}`, { broker, code });
const protocol = (type: string, message = "the broker's words") =>
  new KafkaJSProtocolError(Object.assign(new Error(message), { type, code: 1, retriable: false }));
const retried = (error: Error) => new KafkaJSNumberOfRetriesExceeded(error, { retryCount: 5, retryTime: 1 });
const wrapped = (error: Error) => Object.assign(new KafkaJSNonRetriableError(error), { cause: error });

test("the broker's error type is found however deep kafkajs wrapped it", () => {
  assert.equal(kafkaErrorType(protocol("ILLEGAL_GENERATION")), "ILLEGAL_GENERATION");
  assert.equal(kafkaErrorType(wrapped(retried(protocol("UNKNOWN_MEMBER_ID")))), "UNKNOWN_MEMBER_ID");
  const gathered = Object.assign(new Error("Topic creation errors"), {
    errors: [protocol("TOPIC_ALREADY_EXISTS")],
  });
  assert.equal(kafkaErrorType(gathered), "TOPIC_ALREADY_EXISTS");
  assert.equal(kafkaErrorType(new Error("no type")), undefined);
  assert.equal(kafkaErrorType("text"), undefined);
  assert.equal(kafkaErrorType(undefined), undefined);
});

test("a cause that points back at its error ends the search", () => {
  const error: Error = new Error("round");
  error.cause = error;
  assert.equal(kafkaErrorType(error), undefined);
  assert.equal(explainKafkaError(error, { brokers }).code, "internal");
});

const cases: [what: string, error: Error, code: OptoutError["code"], words: RegExp][] = [
  [
    "a refused connection",
    retried(connection("connect ECONNREFUSED 10.0.0.1:9092", "ECONNREFUSED")),
    "kafka_unreachable",
    /kafka-1:9092: nothing listens there.*kafka\.brokers \(kafka-1:9092, kafka-2:9092\)\./,
  ],
  [
    "an advertised address that nobody configured",
    connection("connect ECONNREFUSED 172.17.0.2:9092", "ECONNREFUSED", "172.17.0.2:9092"),
    "kafka_unreachable",
    /172\.17\.0\.2:9092.*advertised\.listeners/,
  ],
  [
    "a name that doesn't resolve",
    connection("getaddrinfo ENOTFOUND kafka-1", "ENOTFOUND"),
    "kafka_unreachable",
    /doesn't resolve.*DNS/,
  ],
  [
    "no route",
    connection("connect EHOSTUNREACH 10.0.0.1:9092", "EHOSTUNREACH"),
    "kafka_unreachable",
    /no route.*EHOSTUNREACH/,
  ],
  [
    "a connection timeout",
    new KafkaJSConnectionError("Connection timeout"),
    "kafka_unreachable",
    /didn't answer in time, or it is not Kafka's port\./,
  ],
  [
    "a broker that takes the connection and says nothing",
    new Error("Broker not connected"),
    "kafka_unreachable",
    /didn't answer/,
  ],
  [
    "a connection that is closed",
    connection("read ECONNRESET", "ECONNRESET"),
    "kafka_unreachable",
    /closed the connection.*kafka\.ssl.*kafka\.sasl.*or it is not Kafka's port\.$/,
  ],
  [
    "a certificate of an unknown authority",
    retried(connection("self-signed certificate", "DEPTH_ZERO_SELF_SIGNED_CERT")),
    "configuration",
    /isn't trusted: self-signed certificate\. Set kafka\.ssl\.caFile/,
  ],
  [
    "a certificate for another name",
    connection("Hostname/IP does not match", "ERR_TLS_CERT_ALTNAME_INVALID"),
    "configuration",
    /another host name.*servername/,
  ],
  [
    "an expired certificate",
    connection("certificate has expired", "CERT_HAS_EXPIRED"),
    "configuration",
    /out of date/,
  ],
  [
    "a client certificate that is missing or refused",
    retried(
      connection(
        "80DC:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:rec_layer_s3.c:1601:SSL alert number 42\n",
        "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE",
      ),
    ),
    "configuration",
    /^Kafka at kafka-1:9092 asks for a client certificate, .* \(bad certificate\)\. Set kafka\.ssl\.certFile and keyFile/,
  ],
  [
    "a client certificate of an authority that the brokers don't know",
    connection("SSL alert number 48", "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"),
    "configuration",
    /asks for a client certificate.*\(ERR_SSL_TLSV1_ALERT_UNKNOWN_CA\)/,
  ],
  [
    "TLS spoken to a plain listener",
    connection("SSL routines:ssl3_get_record:wrong version number", "EPROTO"),
    "configuration",
    /doesn't speak TLS: set kafka\.ssl to false/,
  ],
  [
    "TLS spoken to a plain listener that hangs up",
    retried(
      connection(
        "Client network socket disconnected before secure TLS connection was established",
        "ECONNRESET",
      ),
    ),
    "kafka_unreachable",
    /during the TLS handshake.*set kafka\.ssl to false/,
  ],
  [
    "a login on a listener without one",
    protocol("ILLEGAL_SASL_STATE"),
    "configuration",
    /takes no login.*Remove kafka\.sasl/,
  ],
  [
    "wrong credentials",
    wrapped(
      Object.assign(new Error("SASL PLAIN authentication failed"), {
        name: "KafkaJSSASLAuthenticationError",
      }),
    ),
    "kafka_unauthorized",
    /refused the login.*kafka\.sasl/,
  ],
  [
    "a mechanism that isn't enabled",
    protocol("UNSUPPORTED_SASL_MECHANISM"),
    "kafka_unauthorized",
    /doesn't offer.*sasl\.enabled\.mechanisms/,
  ],
  [
    "a topic ACL",
    retried(protocol("TOPIC_AUTHORIZATION_FAILED")),
    "kafka_unauthorized",
    /^Kafka at kafka-1:9092, kafka-2:9092 doesn't let this user use the topic "events": grant it/,
  ],
  [
    "a group ACL",
    protocol("GROUP_AUTHORIZATION_FAILED"),
    "kafka_unauthorized",
    /group "relay": grant it READ/,
  ],
  ["a cluster ACL", protocol("CLUSTER_AUTHORIZATION_FAILED"), "kafka_unauthorized", /grant it CREATE/],
  [
    "a missing topic",
    retried(protocol("UNKNOWN_TOPIC_OR_PARTITION")),
    "topic_missing",
    /"events" doesn't exist.*optout-relay topics/,
  ],
  ["too many replicas", protocol("INVALID_REPLICATION_FACTOR"), "configuration", /fewer brokers/],
  ["replicas out of sync", protocol("NOT_ENOUGH_REPLICAS"), "kafka_unreachable", /min\.insync\.replicas/],
  [
    "any other refusal",
    protocol("KAFKA_STORAGE_ERROR", "Disk error"),
    "kafka_unreachable",
    /kafka-1:9092, kafka-2:9092 failed: Disk error/,
  ],
  ["what is not Kafka's", new Error("a bug"), "internal", /^a bug$/],
];
for (const [what, error, code, words] of cases) {
  test(`${what} is explained as ${code}`, () => {
    const explained = explainKafkaError(error, { brokers, topic: "events", groupId: "relay" });
    assert.match(explained.message, words);
    assert.equal(explained.code, code);
    assert.equal(explained.cause, error);
  });
}

test("an error that is explained already is passed on as it is", () => {
  const token = new OptoutError("kafka_unauthorized", "The token server gave no token.");
  assert.equal(explainKafkaError(wrapped(token), { brokers }), token);
});
