import type { Admin } from "kafkajs";
import { readCommitted } from "../kafka/committed.ts";
import { readTopic, type TopicReadOptions } from "../kafka/topic-reader.ts";
import type { RedriveContext } from "./context.ts";
import { readRedriven } from "./headers.ts";
import { CLOCK_SKEW_MS } from "./plan.ts";

/**
 * Which of these rejected events were redriven before, by their `statusId`, and when that was last; milliseconds since the
 * epoch.
 *
 * There is no list of them to keep in order: the event that was sent says which one it repeats, and so does its status,
 * which is kept for years. Whatever lies before the committed offset has a status, so of the events topic only the rest is
 * read: those that were sent, by a redrive that crashed perhaps, and aren't settled yet. An open transaction of somebody
 * else would hide them, so they are read uncommitted; no redrive is part of a transaction.
 *
 * @param since when the first of the events' dead letters was written, in milliseconds since the epoch
 */
export async function findRedriven(
  statusIds: ReadonlySet<string>,
  since: number,
  admin: Admin,
  { kafka, config, signal, progress }: RedriveContext,
): Promise<Map<string, number>> {
  const { topics } = config;
  const { brokers } = config.kafka;
  const found = new Map<string, number>();
  const look = async (topic: string, from: NonNullable<TopicReadOptions["from"]>): Promise<void> => {
    const slices = readTopic({ kafka, brokers, topic, from, uncommitted: true, signal });
    for await (const { messages, progress: done } of slices) {
      for (const { headers } of messages) {
        const redriven = readRedriven(headers);
        if (redriven === undefined || !statusIds.has(redriven.from)) continue;
        const at = Date.parse(redriven.at);
        if (at > (found.get(redriven.from) ?? Number.NEGATIVE_INFINITY)) found.set(redriven.from, at);
      }
      progress(`looking for what was redriven before, in ${topic}`, done);
    }
  };
  // In this order: what is settled meanwhile is seen twice, and nothing is missed.
  const commits = await readCommitted(admin, { groupId: config.kafka.groupId, topic: topics.events });
  const offsets = [...commits].flatMap(([partition, { offset }]) =>
    offset >= 0 ? [[partition, offset] as const] : [],
  );
  await look(topics.events, { offsets: new Map(offsets) });
  await look(topics.status, { time: Math.max(0, since - CLOCK_SKEW_MS) });
  return found;
}
