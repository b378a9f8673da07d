import { parseConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { complianceDnc } from "../../src/delivery/dialects/compliance-dnc.ts";
import type { HttpSend } from "../../src/delivery/dialects/dialect.ts";
import { createLane, type Lane } from "../../src/delivery/lane.ts";
import { createTokenSource } from "../../src/delivery/token-source.ts";
import { messageOf, OptoutError } from "../../src/errors.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { createMetrics, type Metrics } from "../../src/observability/metrics.ts";
import { createPhoneMask } from "../../src/observability/phone-mask.ts";
import { createBrake } from "../../src/relay/brake.ts";
import { drain } from "../../src/relay/drain.ts";
import { createLease, type Lease } from "../../src/relay/lease.ts";
import { createMember, type Member } from "../../src/relay/member.ts";
import { createPublisher } from "../../src/relay/publisher.ts";
import { createResultPublisher } from "../../src/relay/result-publisher.ts";
import { createStatusEncoder } from "../../src/results/status.ts";
import { EVENTS, GROUP_ID } from "./broker.ts";
import type { Client } from "./client.ts";

export const CLUSTER_ID = "cluster-1";
export const ALL_ENVIRONMENTS = ["production", "us-west", "eu-central", "latam"];

/** What differs between two starts of a process. */
export interface Setting {
  /** Names, in the configuration's order. */
  environments: readonly string[];
  region: "US" | "FR";
  maxEntries: number;
  maxWait: number;
  maxBytes: number;
  maxPendingEntries: number;
}

/** The API of this one takes no more entries than these in one request. */
export const MAX_ENTRIES_OF: Readonly<Record<string, number>> = { "eu-central": 2 };

export interface RelayProcessOptions {
  setting: Setting;
  client: Client;
  send(environment: string): HttpSend;
  now(): number;
  random(): number;
  /** For mutations: stands in for the lease. */
  lease(actual: Lease): Lease;
  isStopping(): boolean;
  onFatal(error: OptoutError): void;
  onDefect(message: string): void;
  /** Of a ledger, at most. */
  maxLedgerChars: number;
}

/** One start of the program, as the model sees it from inside. */
export interface RelayProcess {
  readonly member: Member;
  /** As at SIGTERM: what is in flight is answered and committed. */
  drain(): Promise<void>;
}

const SESSION_TIMEOUT_MS = 10_000;
const MONITOR_MS = 5_000;

const logger = silentLogger();
const metrics: Metrics = createMetrics({ version: "0", environments: ALL_ENVIRONMENTS });
const base = parseConfig({
  kafka: { brokers: ["broker:9092"], groupId: GROUP_ID, sessionTimeout: `${SESSION_TIMEOUT_MS}ms` },
  topics: { events: EVENTS },
  environments: ALL_ENVIRONMENTS.map((name) => ({
    name,
    baseUrl: `https://${name}.example.com`,
    auth: { clientId: "relay", clientSecret: "secret" },
    requestsPerSecond: 1_000,
    maxConcurrency: 8,
    retry: { initialBackoff: "100ms", maxBackoff: "2s" },
  })),
});

type ComplianceEnvironment = Extract<Config["environments"][number], { dialect: "compliance-dnc" }>;

function configOf(setting: Setting): Config {
  const { environments, region, ...batching } = setting;
  return {
    ...base,
    batching: { ...base.batching, ...batching },
    normalization: { ...base.normalization, defaultRegion: region },
    environments: environments.flatMap((name) => base.environments.filter((each) => each.name === name)),
  };
}

function laneOf(environment: ComplianceEnvironment, options: RelayProcessOptions, lease: Lease): Lane {
  const { name, requestsPerSecond, maxConcurrency, retry, auth } = environment;
  const { now, random } = options;
  const actual = complianceDnc.create({ environment, auth: () => auth, now });
  const dialect = { ...actual, maxEntries: MAX_ENTRIES_OF[name] ?? actual.maxEntries };
  const send = options.send(name);
  return createLane({
    ...{ name, requestsPerSecond, maxConcurrency, retry, dialect, send, logger, now, random },
    tokens: createTokenSource({
      fetchToken: (signal) => dialect.requestToken(send, signal),
      onRefresh() {},
      now,
    }),
    events: {
      onAttempt() {},
      onRateWait() {},
      onDefect: (error) => options.onDefect(messageOf(error)),
    },
    maySend: () => lease.isHeld && !options.isStopping(),
  });
}

/** Puts the parts of a relay together as `createRelay` does, but for sockets. */
export function startRelay(options: RelayProcessOptions): RelayProcess {
  const { client, now } = options;
  const config = configOf(options.setting);
  const lease = options.lease(createLease(SESSION_TIMEOUT_MS, now));
  const lanes = config.environments.map((environment) =>
    laneOf(environment as ComplianceEnvironment, options, lease),
  );
  const encoder = createStatusEncoder({ registry: null, topic: config.topics.status });
  const publisher = createPublisher({
    producer: client.producer,
    brokers: config.kafka.brokers,
    onFailure() {},
    logger,
  });
  const brake = createBrake(options.now);
  const results = createResultPublisher({
    ...{ publisher, brake },
    context: { topics: config.topics, environments: options.setting.environments, encoder },
    maskPhone: createPhoneMask("secret"),
    ...{ metrics, logger, onFatal: options.onFatal },
    onPublished() {},
  });
  const member = createMember({
    limits: { maxLedgerChars: options.maxLedgerChars },
    ...{ config, kafka: client.kafka, admin: client.admin, clusterId: CLUSTER_ID, lanes },
    ...{ schemas: null, results, brake, lease, metrics, logger, onFatal: options.onFatal },
  });
  member.consumer
    .run()
    .catch((error: unknown) => options.onFatal(new OptoutError("kafka_unreachable", messageOf(error))));
  setInterval(() => {
    if (member.assignment.slots.size === 0) return;
    client.admin.fetchTopicOffsets(EVENTS).then(
      (bounds) => {
        for (const { partition, low, high } of bounds) {
          member.assignment.observe(partition, Number(low), Number(high));
        }
      },
      () => {},
    );
  }, MONITOR_MS);
  return { member, drain: () => drain({ member, lanes, results, now }) };
}
