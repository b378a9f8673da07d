import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "../config/schema.ts";
import { messageOf, OptoutError } from "../errors.ts";
import { type BrokerLink, openBroker } from "../kafka/broker-link.ts";
import { explainKafkaError, kafkaErrorType } from "../kafka/errors.ts";
import type { ClusterView } from "../kafka/questions.ts";
import type { TopicRole } from "../kafka/topics.ts";
import { within } from "../within.ts";
import {
  about,
  type Finding,
  failed,
  failedBy,
  notChecked,
  type Observation,
  ok,
  warning,
} from "./finding.ts";
import { type GroupFacts, judgeBrokerSettings, judgeGroup } from "./group.ts";
import { judgeQuotas } from "./quota.ts";
import { judgeTopic } from "./topics.ts";

type KafkaParts = Pick<Config, "kafka" | "topics" | "batching" | "environments">;
type Reached = { address: string; link: BrokerLink; view: ClusterView };
type Probe = Reached | { address: string; error: OptoutError };

const COORDINATOR_PAUSE_MS = 250;
/** Until a coordinator is there, which a fresh cluster elects when it is first asked. */
const PASSING = ["GROUP_COORDINATOR_NOT_AVAILABLE", "GROUP_LOAD_IN_PROGRESS", "NOT_COORDINATOR_FOR_GROUP"];
const ROLES: readonly TopicRole[] = ["events", "status", "deadLetter"];

/**
 * Every broker, the topics and the group, and what the partitions mean for the quotas. Never rejects; takes three times
 * `timeout` at most, in milliseconds, which is for each question.
 */
export async function checkKafka(config: KafkaParts, timeout: number): Promise<Finding[]> {
  const { kafka, topics } = config;
  const ending = new AbortController();
  setMaxListeners(0, ending.signal);
  const ask = async <T>(work: Promise<T>, { topic, brokers = kafka.brokers }: Asked = {}): Promise<T> => {
    try {
      return await within(timeout, work, () => late(brokers, timeout));
    } catch (error) {
      const about = { brokers, groupId: kafka.groupId, ...(topic !== undefined && { topic }) };
      throw explainKafkaError(error, about);
    }
  };
  const probe = async (address: string): Promise<Probe> => {
    const open = async (): Promise<Reached> => {
      const link = await openBroker(kafka, address, ending.signal);
      return { address, link, view: await link.cluster(ROLES.map((role) => topics[role])) };
    };
    // An address that only the brokers advertise is told from those configured by not being among them.
    const brokers = kafka.brokers.includes(address) ? [address] : kafka.brokers;
    return ask(open(), { brokers }).catch(
      (error: unknown): Probe => ({ address, error: asOptoutError(error) }),
    );
  };

  try {
    const probes = new Map(kafka.brokers.map((address) => [address, probe(address)]));
    const first = await firstReached([...probes.values()]);
    if (first === undefined) return unreached(config, await Promise.all(probes.values()));
    for (const { address } of first.view.brokers)
      if (!probes.has(address)) probes.set(address, probe(address));
    const context = { config, ask, probes, first };
    const [brokers, cluster, ofTopics, group] = await Promise.all([
      checkBrokers(context),
      checkCluster(context),
      checkTopics(context),
      checkGroup(context),
    ]);
    return [...brokers, ...cluster, ...ofTopics, ...group, ...checkQuotas(context)];
  } finally {
    ending.abort();
  }
}

/** What a question is about, for the explanation of its failure. */
interface Asked {
  topic?: string;
  brokers?: readonly string[];
}

interface Context {
  config: KafkaParts;
  /** Bounds a question in time, and explains its failure. */
  ask<T>(work: Promise<T>, asked?: Asked): Promise<T>;
  /** By address: those configured, then those advertised. */
  probes: ReadonlyMap<string, Promise<Probe>>;
  first: Reached;
}

const late = (brokers: readonly string[], timeout: number): OptoutError =>
  new OptoutError(
    "kafka_unreachable",
    `No answer within ${timeout / 1_000} s. Check that the broker is healthy and no firewall is between (${brokers.join(", ")}).`,
  );

const asOptoutError = (error: unknown): OptoutError =>
  error instanceof OptoutError ? error : new OptoutError("internal", messageOf(error), { cause: error });

const isReached = (probe: Probe): probe is Reached => "link" in probe;

async function firstReached(probes: readonly Promise<Probe>[]): Promise<Reached | undefined> {
  const reached = probes.map(async (each) => {
    const probe = await each;
    if (isReached(probe)) return probe;
    throw probe.error;
  });
  return Promise.any(reached).catch(() => undefined);
}

function unreached({ kafka, topics }: KafkaParts, probes: readonly Probe[]): Finding[] {
  const blind = [notChecked("all", "no broker could be asked")];
  return [
    ...probes.flatMap((probe) =>
      isReached(probe) ? [] : about("broker", probe.address, [failedBy("connection", probe.error)]),
    ),
    ...about("cluster", "", blind),
    ...ROLES.flatMap((role) => about("topic", topics[role], blind)),
    ...about("group", kafka.groupId, blind),
  ];
}

async function checkBrokers({ config, probes, first }: Context): Promise<Finding[]> {
  const all = await Promise.all(probes.values());
  const nodes = new Map(first.view.brokers.map(({ nodeId, address }) => [address, nodeId]));
  return all.flatMap((probe) => {
    const node = nodes.get(probe.address);
    const isConfigured = config.kafka.brokers.includes(probe.address);
    const observation = isReached(probe)
      ? connected(probe, first, node)
      : disconnected(probe.error, isConfigured && node === undefined);
    return about("broker", probe.address, [observation]);
  });
}

function connected({ view }: Reached, first: Reached, node: number | undefined): Observation {
  if (view.clusterId !== first.view.clusterId) {
    return failed(
      "connection",
      `belongs to the cluster ${view.clusterId}, and ${first.address} to ${first.view.clusterId}`,
      "Name brokers of one cluster in kafka.brokers.",
    );
  }
  return ok(
    "connection",
    node === undefined ? "answers, under a name the brokers don't use" : `broker ${node}`,
  );
}

/** `isSpare`: just one way in of several; the cluster works without it, as far as is known. */
function disconnected(error: OptoutError, isSpare: boolean): Observation {
  const observation = failedBy("connection", error);
  const passes = isSpare && error.code === "kafka_unreachable";
  return passes
    ? warning(observation.check, `${observation.detail} Others are reached.`, observation.remedy ?? "")
    : observation;
}

async function checkCluster({ config, ask, probes, first }: Context): Promise<Finding[]> {
  const settings = new Map<string, ReadonlyMap<string, string>>();
  await Promise.all(
    first.view.brokers.map(async ({ nodeId, address }) => {
      const probe = await probes.get(address);
      if (probe === undefined || !isReached(probe)) return;
      const read = await ask(probe.link.settings({ nodeId })).catch(() => undefined);
      if (read !== undefined) settings.set(address, read);
    }),
  );
  const { clusterId, brokers } = first.view;
  return about("cluster", clusterId, [
    ok("brokers", `${brokers.length}`),
    ...judgeBrokerSettings(settings, config.kafka.sessionTimeout),
  ]);
}

async function checkTopics({ config: { topics }, ask, first }: Context): Promise<Finding[]> {
  const { link, view } = first;
  const settingsOf = async (topic: string): Promise<ReadonlyMap<string, string> | Error> =>
    ask(link.settings({ topic }), { topic }).catch(asOptoutError);
  const all = await Promise.all(ROLES.map((role) => settingsOf(topics[role])));
  const [eventsSettings = new Error("not read")] = all;
  return ROLES.flatMap((role, index) => {
    const name = topics[role];
    return about(
      "topic",
      name,
      judgeTopic({
        ...{ role, name, eventsSettings, brokers: view.brokers.length },
        view: view.topics.find((topic) => topic.name === name),
        settings: all[index] ?? eventsSettings,
      }),
    );
  });
}

const eventsPartitions = ({ config: { topics }, first }: Context) =>
  first.view.topics.find(({ name }) => name === topics.events)?.partitions ?? [];

function checkQuotas(context: Context): Finding[] {
  const { length } = eventsPartitions(context);
  return length === 0 ? [] : about("configuration", "", judgeQuotas(context.config, length));
}

async function checkGroup(context: Context): Promise<Finding[]> {
  const { config, ask, probes, first } = context;
  const { groupId } = config.kafka;
  const eventsTopic = config.topics.events;
  const read = async (): Promise<GroupFacts | Error> => {
    const deadline = new AbortController();
    try {
      const address = await ask(coordinatorOf(first.link, groupId, deadline.signal));
      const probe = (await probes.get(address)) ?? first;
      if (!isReached(probe)) return probe.error;
      const numbers = eventsPartitions(context).map(({ partition }) => partition);
      const [view, commits] = await Promise.all([
        ask(probe.link.group(groupId)),
        ask(probe.link.committed(groupId, eventsTopic, numbers)).catch(() => undefined),
      ]);
      return {
        groupId,
        eventsTopic,
        view,
        commits,
        environments: config.environments.map(({ name }) => name),
      };
    } finally {
      deadline.abort();
    }
  };
  const facts = await read().catch(asOptoutError);
  const observations = facts instanceof Error ? [failedBy("access", facts)] : judgeGroup(facts);
  return about("group", groupId, observations);
}

/** Asks again while a coordinator is being elected, until the signal. */
async function coordinatorOf(link: BrokerLink, groupId: string, signal: AbortSignal): Promise<string> {
  for (;;) {
    try {
      return await link.coordinatorOf(groupId);
    } catch (error) {
      if (!PASSING.includes(kafkaErrorType(error) ?? "") || signal.aborted) throw error;
    }
    await sleep(COORDINATOR_PAUSE_MS, undefined, { signal });
  }
}
