import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { messageOf, OptoutError } from "../errors.ts";
import { type Artifact, artifactFolder, exists } from "./artifacts.ts";
import { jvmFlags } from "./jvm.ts";
import { brokerIsReady } from "./kafka-probe.ts";
import type { Placement, Server } from "./launch.ts";
import { tailOf } from "./log-tail.ts";
import { createService, type Service } from "./service.ts";

const run = promisify(execFile);
const defaultVersion = "4.1.1";
const formatWithinMs = 60_000;

/** Apache Kafka as on Maven Central, with the logging back end its own distribution adds. */
function kafkaArtifact(version: string): Artifact {
  if (!/^\d+\.\d+\.\d+$/.test(version)) {
    throw new OptoutError(
      "usage",
      `"${version}" is not a Kafka version. Expected three numbers, such as 4.1.1.`,
    );
  }
  const logging = version.startsWith("3.")
    ? { groupId: "org.slf4j", artifactId: "slf4j-reload4j", version: "1.7.36" }
    : { groupId: "org.apache.logging.log4j", artifactId: "log4j-slf4j-impl", version: "2.24.3" };
  return {
    name: "kafka",
    version,
    title: `Apache Kafka ${version}`,
    unpack: false,
    dependencies: [
      { groupId: "org.apache.kafka", artifactId: "kafka_2.13", version },
      { groupId: "org.apache.kafka", artifactId: "kafka-tools", version },
      logging,
    ],
  };
}

export interface KafkaOptions {
  /** Default 4.1.1. */
  version?: string | undefined;
  /** Of new data; by default a random one. */
  clusterId?: string | undefined;
  /** Settings over the stack's own. */
  config?: Record<string, string> | undefined;
  /** A fixed port for the plain listener. */
  port?: number | undefined;
  /** Beside the plain one, by name, in lower case. */
  listeners?: Record<string, Listener> | undefined;
  scramUsers?: readonly ScramUser[] | undefined;
  systemProperties?: Record<string, string> | undefined;
}

export interface Listener {
  protocol: "SSL" | "SASL_PLAINTEXT" | "SASL_SSL";
  /** Broker settings of this listener alone: `{"ssl.client.auth": "required"}`. */
  settings: Record<string, string>;
}

/** Somebody who may log in by SCRAM from the first start on; the data folder keeps them. */
export interface ScramUser {
  mechanism: "SCRAM-SHA-256" | "SCRAM-SHA-512";
  name: string;
  password: string;
}

/**
 * A one-node cluster on 127.0.0.1: broker and controller in one process. Data found in its folder are kept.
 * Its ports: the plain listener's, the controller's, then those of the further listeners in their order.
 */
export function kafkaServer(options: KafkaOptions = {}): Server {
  const artifact = kafkaArtifact(options.version ?? defaultVersion);
  return {
    artifact,
    portCount: 2 + Object.keys(options.listeners ?? {}).length,
    fixedPort: options.port,
    create: (placement) => create(artifact, placement, options),
  };
}

async function create(artifact: Artifact, placement: Placement, options: KafkaOptions): Promise<Service> {
  const { folder, java } = placement;
  const [port = 0] = placement.ports;
  const settings = join(folder, "server.properties");
  await mkdir(join(folder, "tmp"), { recursive: true });
  await writeFile(
    settings,
    properties({
      ...defaults(folder),
      ...listenerSettings(placement.ports, options.listeners ?? {}),
      ...options.config,
    }),
  );
  await writeFile(join(folder, "log4j2.properties"), log4j2);
  await writeFile(join(folder, "log4j.properties"), log4j1);
  const flags = [
    ...jvmFlags(placement, 512),
    ...Object.entries(options.systemProperties ?? {}).map(([name, value]) => `-D${name}=${value}`),
    `-Dlog4j2.configurationFile=${join(folder, "log4j2.properties")}`,
    `-Dlog4j.configuration=file:${join(folder, "log4j.properties")}`,
    "-cp",
    join(artifactFolder(artifact), "lib", "*"),
  ];
  if (!(await exists(join(folder, "data", "meta.properties")))) {
    await format(artifact.title, java.command, [
      ...flags,
      ...[
        "kafka.tools.StorageTool",
        "format",
        "--config",
        settings,
        "--cluster-id",
        options.clusterId ?? randomClusterId(),
      ],
      ...(options.scramUsers ?? []).flatMap(({ mechanism, name, password }) => [
        "--add-scram",
        `${mechanism}=[name=${name},password=${password}]`,
      ]),
    ]);
  }
  return createService({
    ...placement,
    title: artifact.title,
    command: java.command,
    args: [...(placement.serverFlags ?? []), ...flags, "kafka.Kafka", settings],
    port,
    isReady: () => brokerIsReady(port),
  });
}

async function format(title: string, java: string, command: string[]): Promise<void> {
  try {
    await run(java, command, { timeout: formatWithinMs, maxBuffer: 10 << 20 });
  } catch (error) {
    const lines = [`${title} refused its settings or its data folder:`, ...tailOf(messageOf(error), 5)];
    throw new OptoutError("local_stack", lines.join("\n"));
  }
}

/** 16 random bytes in base64url, as Kafka writes ids; never with a leading "-", which would read as an option. */
function randomClusterId(): string {
  const id = randomBytes(16).toString("base64url");
  return id.startsWith("-") ? randomClusterId() : id;
}

function listenerSettings(
  [port = 0, controllerPort = 0, ...further]: readonly number[],
  listeners: Record<string, Listener>,
): Record<string, string> {
  const named = Object.entries(listeners);
  const forClients = [
    `PLAINTEXT://127.0.0.1:${port}`,
    ...named.map(([name], index) => `${name.toUpperCase()}://127.0.0.1:${further[index]}`),
  ];
  const protocols = named.map(([name, { protocol }]) => `${name.toUpperCase()}:${protocol}`);
  return {
    "controller.quorum.voters": `1@127.0.0.1:${controllerPort}`,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", ...protocols].join(","),
    listeners: [...forClients, `CONTROLLER://127.0.0.1:${controllerPort}`].join(","),
    "advertised.listeners": forClients.join(","),
    ...Object.fromEntries(
      named.flatMap(([name, { settings }]) =>
        Object.entries(settings).map(([key, value]) => [`listener.name.${name}.${key}`, value]),
      ),
    ),
  };
}

function defaults(folder: string): Record<string, string> {
  return {
    "process.roles": "broker,controller",
    "node.id": "1",
    "log.dirs": join(folder, "data"),
    "auto.create.topics.enable": "false",
    // One node can't keep three copies.
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    // Small and quick, for a machine that does other work too.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "2",
    "group.initial.rebalance.delay.ms": "0",
    // A killed broker may come back only when the controller, in the same process, has given up its former self.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "group.min.session.timeout.ms": "1000",
    "log.cleaner.dedupe.buffer.size": String(8 << 20),
  };
}

function properties(values: Record<string, string>): string {
  const lines = Object.entries(values).map(([key, value]) => `${key}=${value.replaceAll("\\", "\\\\")}`);
  return `${lines.join("\n")}\n`;
}

// Kafka 4 logs through log4j 2, Kafka 3 through log4j 1. Its stdout is the log file.
const log4j2 = `rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %m (%c)%n
logger.config.name=org.apache.kafka.common.config
logger.config.level=WARN
`;
const log4j1 = `log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n
log4j.logger.org.apache.kafka.common.config=WARN
`;
