import { setTimeout as sleep } from "node:timers/promises";
import type { Admin, ITopicConfig, ITopicMetadata, Kafka } from "kafkajs";
import type { Config } from "../config/schema.ts";
import { OptoutError } from "../errors.ts";
import { explained, kafkaErrorType } from "./errors.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;
const LEADER_TIMEOUT_MS = 15_000;
const LEADER_POLL_MS = 100;
const DEFAULT_PARTITIONS = 6;
const MAX_DEFAULT_REPLICAS = 3;

export type TopicRole = keyof Config["topics"];
type TopicsOf = Pick<Config, "kafka" | "topics">;

export interface TopicDescription {
  partitions: number;
  replicationFactor: number;
}

export interface TopicState extends TopicDescription {
  role: TopicRole;
  topic: string;
  created: boolean;
}

export interface EnsureTopicsOptions {
  /** Of each topic that is created; 6 unless given. */
  partitions?: number;
  /** Unless given, 3, or the number of brokers if those are fewer. */
  replicationFactor?: number;
}

/**
 * Why each topic keeps its records as long as it does:
 * - events: two weeks. Ten business days is the longest the law gives to honour an opt-out (47 CFR 64.1200(d)(3));
 *   one that is still undelivered then has been an alarm for long.
 * - status: five years and a day, the time for which the same rule has records of requests kept. It is the proof.
 *   Not compacted: compaction would keep a number's last outcome and lose the ones before it.
 * - dead letters: until somebody looks at them. A rejected opt-out that expires is a lost one. Each is its original
 *   and some headers, so it may be larger than the largest record of the events topic.
 */
const TOPIC_SETTINGS: Record<TopicRole, Record<string, string>> = {
  events: { "cleanup.policy": "delete", "retention.ms": String(14 * DAY_MS) },
  status: { "cleanup.policy": "delete", "retention.ms": String(1_827 * DAY_MS) },
  deadLetter: {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "max.message.bytes": String(2 * 1024 * 1024),
  },
};

/** Topics that exist and may be seen, by name; absent ones have no entry. Rejects with kafkajs' errors. */
export async function describeTopics(
  admin: Admin,
  names: readonly string[],
): Promise<Map<string, TopicDescription>> {
  return new Map(
    (await fetchMetadata(admin, names)).map(({ name, partitions }) => [
      name,
      { partitions: partitions.length, replicationFactor: partitions[0]?.replicas.length ?? 0 },
    ]),
  );
}

async function fetchMetadata(admin: Admin, names: readonly string[]): Promise<ITopicMetadata[]> {
  try {
    const existing = new Set(await admin.listTopics());
    const topics = names.filter((name) => existing.has(name));
    // Asked for none, kafkajs describes every topic of the cluster.
    return topics.length === 0 ? [] : (await admin.fetchTopicMetadata({ topics })).topics;
  } catch (error) {
    // kafkajs reads from null when every broker failed to answer, and drops the reason.
    if (!(error instanceof TypeError)) throw error;
    throw new OptoutError(
      "kafka_unreachable",
      "No broker answered a question about topics. Check that all are up.",
      {
        cause: error,
      },
    );
  }
}

/**
 * The topics of the configuration, or an OptoutError `topic_missing` that names every one that isn't there.
 * Other failures are explained too.
 */
export async function requireTopics(
  admin: Admin,
  config: TopicsOf,
  roles: readonly TopicRole[] = ["events", "status", "deadLetter"],
): Promise<Map<TopicRole, TopicDescription>> {
  const names = roles.map((role) => config.topics[role]);
  const described = await explained(describeTopics(admin, names), { brokers: config.kafka.brokers });
  const found = new Map<TopicRole, TopicDescription>();
  const missing: string[] = [];
  for (const role of roles) {
    const description = described.get(config.topics[role]);
    if (description === undefined) missing.push(`"${config.topics[role]}" (topics.${role})`);
    else found.set(role, description);
  }
  if (missing.length > 0) throw missingTopics(missing, config);
  return found;
}

function missingTopics(missing: readonly string[], { kafka }: TopicsOf): OptoutError {
  const several = missing.length > 1;
  return new OptoutError(
    "topic_missing",
    `Kafka at ${kafka.brokers.join(", ")} has no topic${several ? "s" : ""} ${missing.join(", ")}, ` +
      `or this user may not see ${several ? "them" : "it"}. Run \`optout-relay topics\` to create what is missing, ` +
      "or correct the names under topics.",
  );
}

/**
 * Creates the topics that are missing and waits until each partition has a leader. Those that exist are left as they
 * are, whatever their settings. Rejects with an explained OptoutError.
 */
export async function ensureTopics(
  kafka: Kafka,
  config: TopicsOf,
  options: EnsureTopicsOptions = {},
  onProgress: (line: string) => void = () => {},
): Promise<TopicState[]> {
  return withAdmin(kafka, config.kafka.brokers, async (admin) => {
    const wanted = topicEntries(config);
    const names = wanted.map(([, topic]) => topic);
    const present = await describeTopics(admin, names);
    const created = new Set<string>();
    if (present.size < names.length) {
      const settings = await completeSettings(admin, options);
      for (const [role, topic] of wanted) {
        if (present.has(topic)) continue;
        if (await createTopic(admin, config, topicConfig(role, topic, settings))) created.add(topic);
        onProgress(`created topic ${topic}`);
      }
    }
    await waitForLeaders(admin, names);
    const ready = await describeTopics(admin, names);
    return wanted.map(([role, topic]) => {
      const { partitions, replicationFactor } = ready.get(topic) ?? { partitions: 0, replicationFactor: 0 };
      return { role, topic, partitions, replicationFactor, created: created.has(topic) };
    });
  });
}

/** Runs work with a connected admin client; errors leave explained, the connection always closed. */
export async function withAdmin<T>(
  kafka: Kafka,
  brokers: readonly string[],
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const admin = kafka.admin();
  const use = async (): Promise<T> => {
    try {
      await admin.connect();
      return await work(admin);
    } finally {
      await admin.disconnect().catch(() => {});
    }
  };
  return explained(use(), { brokers });
}

const topicEntries = ({ topics }: TopicsOf): [TopicRole, string][] => [
  ["events", topics.events],
  ["status", topics.status],
  ["deadLetter", topics.deadLetter],
];

async function completeSettings(
  admin: Admin,
  { partitions = DEFAULT_PARTITIONS, replicationFactor }: EnsureTopicsOptions,
): Promise<Required<EnsureTopicsOptions>> {
  if (replicationFactor !== undefined) return { partitions, replicationFactor };
  const { brokers } = await admin.describeCluster();
  return { partitions, replicationFactor: Math.max(1, Math.min(MAX_DEFAULT_REPLICAS, brokers.length)) };
}

function topicConfig(
  role: TopicRole,
  topic: string,
  { partitions, replicationFactor }: Required<EnsureTopicsOptions>,
): ITopicConfig {
  // With three replicas, two must have a record before it is acknowledged: one broker may be lost, and one restarted.
  const durable = replicationFactor >= 3 ? { "min.insync.replicas": "2" } : {};
  return {
    topic,
    numPartitions: partitions,
    replicationFactor,
    configEntries: Object.entries({ ...TOPIC_SETTINGS[role], ...durable }).map(([name, value]) => ({
      name,
      value,
    })),
  };
}

/** Whether it was this call that created it. */
async function createTopic(admin: Admin, config: TopicsOf, topic: ITopicConfig): Promise<boolean> {
  const create = async (): Promise<boolean> => {
    try {
      return await admin.createTopics({ topics: [topic], waitForLeaders: false });
    } catch (error) {
      if (kafkaErrorType(error) === "TOPIC_ALREADY_EXISTS") return false;
      throw error;
    }
  };
  return explained(create(), { brokers: config.kafka.brokers, topic: topic.topic });
}

/** New topics take a moment to be known to every broker and to have leaders. */
export async function waitForLeaders(admin: Admin, names: readonly string[]): Promise<void> {
  const deadline = Date.now() + LEADER_TIMEOUT_MS;
  for (;;) {
    const led = (await fetchMetadata(admin, names)).filter(
      ({ partitions }) => partitions.length > 0 && partitions.every(({ leader }) => leader >= 0),
    );
    if (led.length === names.length) return;
    if (Date.now() > deadline) {
      const waiting = names.filter((name) => !led.some((topic) => topic.name === name));
      throw new OptoutError(
        "kafka_unreachable",
        `${waiting.join(", ")} can't be used after ${LEADER_TIMEOUT_MS / 1_000} s: some partition has no leader. ` +
          "Check that all brokers are up.",
      );
    }
    await sleep(LEADER_POLL_MS);
  }
}
