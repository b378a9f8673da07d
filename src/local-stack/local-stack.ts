import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Artifact, downloadArtifact, isCached } from "./artifacts.ts";
import { kafkaServer, type Listener, type ScramUser } from "./kafka-broker.ts";
import { launch, type Server } from "./launch.ts";
import { registryServer, registryUrl } from "./schema-registry.ts";
import type { Service } from "./service.ts";
import { findToolchain, type Java } from "./toolchain.ts";

export interface LocalStackOptions {
  /** Default true. */
  kafka?: boolean;
  /** Default true. */
  registry?: boolean;
  /** Default 4.1.1; 3.9.2 and 4.4.0 are known to work too. */
  kafkaVersion?: string;
  /** Of a new cluster: 16 bytes in base64url. By default a random one. */
  clusterId?: string;
  /** Broker settings over the stack's own: `{"log.retention.ms": "60000"}`. */
  brokerConfig?: Record<string, string>;
  /** A fixed port for the broker; without it a free one is found. */
  brokerPort?: number;
  /** Further listeners of the broker, by name in lower case, each on a free port. */
  listeners?: Record<string, Listener>;
  /** Who may log in by SCRAM. */
  scramUsers?: readonly ScramUser[];
  /** Of the broker's JVM, without `-D`. */
  systemProperties?: Record<string, string>;
  /** Kept afterwards, and used again if it holds a broker's data. Without it a new one is made, and removed by `stop`. */
  dataDir?: string;
  /** Told what happens, one line at a time. */
  onProgress?: (message: string) => void;
  /** Ends the start: what had been started is stopped, and the start fails with the signal's reason. */
  signal?: AbortSignal;
}

export interface LocalStack {
  /** Empty without Kafka. */
  brokers: string[];
  /** host:port of each further listener, by name. */
  listeners: Record<string, string>;
  /** The base URL of the Confluent-compatible API. */
  registryUrl: string | undefined;
  /** Same port, same data. */
  restartBroker(): Promise<void>;
  stopBroker(): Promise<void>;
  startBroker(): Promise<void>;
  /** Ends the broker without warning, as kill -9 would. */
  killBroker(): Promise<void>;
  stopRegistry(): Promise<void>;
  /** Same port, but empty: the registry keeps its content in memory. */
  startRegistry(): Promise<void>;
  /** Process ids of the servers, while they run. */
  pids(): { kafka: number | undefined; registry: number | undefined };
  /** Stops everything and removes temporary data. The stack can't be started again. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Running {
  service: Service;
  /** The first is the one for clients. */
  ports: number[];
}

/**
 * Starts a real Apache Kafka (one node, KRaft) and a real schema registry on 127.0.0.1, from Maven artifacts that are
 * downloaded once. Resolves when both answer. They end with this process, however it ends.
 * Throws OptoutError `local_stack`: with the ways out if Java or Maven is missing, with the end of its log if a server fails.
 */
export async function startLocalStack(options: LocalStackOptions = {}): Promise<LocalStack> {
  options.signal?.throwIfAborted();
  const { listeners = {}, scramUsers, systemProperties } = options;
  const kafka =
    options.kafka === false
      ? undefined
      : kafkaServer({
          version: options.kafkaVersion,
          clusterId: options.clusterId,
          config: options.brokerConfig,
          port: options.brokerPort,
          ...{ listeners, scramUsers, systemProperties },
        });
  const registry = options.registry === false ? undefined : registryServer();
  const servers = [kafka, registry].filter((server) => server !== undefined);

  const failure = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, failure.signal]) : failure.signal;
  const say = options.onProgress ?? (() => {});
  const artifacts = servers.map((server) => server.artifact);
  const java = await provide(artifacts, say, signal);

  const temporary = options.dataDir === undefined;
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "optout-relay-")));
  await mkdir(dataDir, { recursive: true });
  const start = async (server: Server | undefined): Promise<Running | undefined> => {
    if (server === undefined) return undefined;
    const folder = join(dataDir, server.artifact.name);
    try {
      return await launch(server, { java, folder, temporary, say, signal });
    } catch (error) {
      failure.abort(error);
      return undefined;
    }
  };
  // A failure ends the other start as well; both are waited for before anything is removed.
  const [broker, schemas] = await Promise.all([start(kafka), start(registry)]);
  const stack = createStack({
    broker,
    schemas,
    listenerNames: Object.keys(listeners),
    folderToRemove: temporary ? dataDir : undefined,
  });
  if (!signal.aborted) return stack;
  await stack.stop();
  throw signal.reason;
}

/** Makes sure of Java and of the artifacts. Maven is needed only if one has to be downloaded. */
async function provide(
  artifacts: Artifact[],
  say: (message: string) => void,
  signal: AbortSignal,
): Promise<Java> {
  const cached = await Promise.all(artifacts.map(isCached));
  const absent = artifacts.filter((_, index) => !cached[index]);
  const { java, maven } = await findToolchain(absent.length > 0);
  for (const { title } of absent) say(`Downloading ${title} (once)`);
  const downloads = absent.map((artifact) => downloadArtifact(artifact, maven, signal));
  await Promise.allSettled(downloads);
  await Promise.all(downloads);
  return java;
}

interface Parts {
  broker: Running | undefined;
  schemas: Running | undefined;
  listenerNames: string[];
  folderToRemove: string | undefined;
}

function createStack({ broker, schemas, listenerNames, folderToRemove }: Parts): LocalStack {
  const [brokerPort, , ...listenerPorts] = broker?.ports ?? [];
  let stopped: Promise<void> | undefined;

  const start = async (running: Running | undefined, what: string): Promise<void> => {
    if (running === undefined) throw new Error(`This local stack has no ${what}.`);
    if (stopped) throw new Error("This local stack has been stopped.");
    await running.service.start();
  };
  const startBroker = (): Promise<void> => start(broker, "broker");
  const stopBroker = async (): Promise<void> => broker?.service.stop();

  async function stopAll(): Promise<void> {
    await Promise.all([broker?.service.stop(), schemas?.service.stop()]);
    if (folderToRemove) await rm(folderToRemove, { recursive: true, force: true, maxRetries: 5 });
  }
  const stop = (): Promise<void> => {
    stopped ??= stopAll();
    return stopped;
  };

  return {
    brokers: brokerPort === undefined ? [] : [`127.0.0.1:${brokerPort}`],
    listeners: Object.fromEntries(
      listenerNames.map((name, index) => [name, `127.0.0.1:${listenerPorts[index]}`]),
    ),
    registryUrl: schemas && registryUrl(schemas.ports[0] ?? 0),
    startBroker,
    stopBroker,
    killBroker: async () => broker?.service.kill(),
    restartBroker: async () => {
      await stopBroker();
      await startBroker();
    },
    startRegistry: () => start(schemas, "registry"),
    stopRegistry: async () => schemas?.service.stop(),
    pids: () => ({ kafka: broker?.service.pid(), registry: schemas?.service.pid() }),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
