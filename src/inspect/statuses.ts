import type { KafkaMessage } from "kafkajs";
import { readValue } from "../events/value.ts";
import { partitionOf } from "../kafka/partitioner.ts";
import { readTopic } from "../kafka/topic-reader.ts";
import { type Redriven, readRedriven } from "../redrive/headers.ts";
import { type EnvironmentResult, type StatusRecord, statusRecord } from "../results/status.ts";
import type { InspectContext } from "./context.ts";
import type { Schemas } from "./schemas.ts";

export interface StatusQuery {
  /** E.164. */
  phone: string;
  /** Of the status topic. */
  partitions: number;
  /** Read them all, even if the phone's records are known to lie in one. */
  allPartitions: boolean;
  /** Only records that are not older, in milliseconds since the epoch. */
  since: number | undefined;
  /** Statuses that are wanted even if they are older: `statusId`s, and from when on to look for them. */
  anyway: { statusIds: ReadonlySet<string>; from: number };
}

export interface FoundStatus extends StatusRecord {
  redriven: Redriven | null;
}

export interface StatusesRead {
  /** One for each event. */
  statuses: FoundStatus[];
  partitions: number[];
  /**
   * Why these partitions: `key`, the phone's records go there; `all`, somebody wanted them all; `moved`, records lie
   * elsewhere than their keys say, so the topic had fewer partitions once, or another partitioner.
   */
  because: "key" | "all" | "moved";
  /** Offsets that were looked at. */
  records: number;
  /** Records of the phone that can't be read, and why. */
  unreadable: { partition: number; offset: number; detail: string }[];
}

/** Everything that the status topic says of a phone. Rejects with an explained OptoutError. */
export async function readStatuses(
  query: StatusQuery,
  schemas: Schemas,
  context: InspectContext,
): Promise<StatusesRead> {
  const { kafka, config, progress } = context;
  const topic = config.topics.status;
  const because = await choosePartitions(query, context);
  const all = Array.from({ length: query.partitions }, (_, partition) => partition);
  const partitions = because === "key" ? [partitionOf(query.phone, query.partitions)] : all;
  const read: StatusesRead = { statuses: [], partitions, because, records: 0, unreadable: [] };
  const key = Buffer.from(query.phone);
  const byId = new Map<string, FoundStatus>();
  const source = { kafka, brokers: config.kafka.brokers, topic, partitions, ...from(query) };
  for await (const { partition, messages, progress: reached } of readTopic(source)) {
    for (const message of messages) {
      // By far the most are another's: a comparison of bytes is all that they cost.
      if (message.key?.equals(key) !== true) continue;
      const status = await decodeStatus(message, schemas);
      if ("statusId" in status && !isWanted(status, Number(message.timestamp), query)) continue;
      if ("detail" in status && !("statusId" in status)) {
        read.unreadable.push({ partition, offset: Number(message.offset), detail: status.detail });
      } else {
        const id = identityOf(status);
        const earlier = byId.get(id);
        byId.set(id, earlier === undefined ? status : withDetailsOf(earlier, status));
      }
    }
    read.records = reached.done;
    progress(`reading ${topic}`, reached);
  }
  return { ...read, statuses: [...byId.values()] };
}

const from = ({ since, anyway }: StatusQuery) =>
  since === undefined ? {} : { from: { time: Math.max(0, Math.min(since, anyway.from)) } };

const isWanted = ({ statusId }: FoundStatus, at: number, { since, anyway }: StatusQuery): boolean =>
  since === undefined || at >= since || anyway.statusIds.has(statusId);

/** An event topic that was deleted and made anew counts its offsets, and so each `statusId`, once more. */
export const identityOf = ({ statusId, origin }: Pick<StatusRecord, "statusId" | "origin">): string =>
  `${statusId} ${Date.parse(origin.timestamp)}`;

/** So many records tell whether keys lie where they belong: if the topic has grown, every other one doesn't, at least. */
const SAMPLE = 200;

/**
 * Records that were written when the topic had fewer partitions lie where their keys went then. They are its oldest, so a
 * look at the first ones of every partition tells.
 */
async function choosePartitions(
  query: StatusQuery,
  { kafka, config }: InspectContext,
): Promise<StatusesRead["because"]> {
  const { partitions, allPartitions } = query;
  if (allPartitions) return "all";
  if (partitions === 1) return "key";
  const topic = config.topics.status;
  const source = { kafka, brokers: config.kafka.brokers, topic, first: SAMPLE, ...from(query) };
  for await (const { partition, messages } of readTopic(source)) {
    const isElsewhere = ({ key }: KafkaMessage): boolean =>
      key !== null && partitionOf(key, partitions) !== partition;
    if (messages.some(isElsewhere)) return "moved";
  }
  return "key";
}

/** What a record of the status topic says, or why it can't be read. */
export async function decodeStatus(
  message: KafkaMessage,
  schemas: Schemas,
): Promise<FoundStatus | { detail: string }> {
  const { value, headers = {} } = message;
  if (value === null) return { detail: "it has no value" };
  for (;;) {
    const content = readValue(value, headers, schemas.cache);
    if ("schemaId" in content) {
      if (await schemas.load(content.schemaId)) continue;
      return { detail: "its schema can't be had, since the schema registry gives no answer" };
    }
    if (!("fields" in content)) return content;
    const { data } = statusRecord.safeParse(content.fields);
    if (data === undefined) return { detail: `${content.encoding}, but not a status record` };
    return { ...data, redriven: readRedriven(headers) ?? null };
  }
}

/** A record that a crash repeated may know less of what was acknowledged before it, and more of what came after. */
export function withDetailsOf(first: FoundStatus, repeated: FoundStatus): FoundStatus {
  const better = (result: EnvironmentResult): EnvironmentResult =>
    result.acknowledgedAt === null
      ? (repeated.environments.find(({ name }) => name === result.name) ?? result)
      : result;
  return { ...first, environments: first.environments.map(better) };
}
