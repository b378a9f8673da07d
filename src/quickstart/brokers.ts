import { once } from "node:events";
import type { Kafka } from "kafkajs";
import type { Config } from "../config/schema.ts";
import { explained } from "../kafka/errors.ts";

/** Resolves when a broker answers; rejects at once when `signal` aborts, and otherwise with an explained OptoutError. */
export async function reachBrokers(
  kafka: Kafka,
  { kafka: { brokers } }: Config,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const admin = kafka.admin();
  const answered = new AbortController();
  const reached = explained(admin.connect(), { brokers });
  const aborted = once(signal, "abort", { signal: answered.signal }).then(() => signal.throwIfAborted());
  try {
    await Promise.race([reached, aborted]);
  } finally {
    aborted.catch(() => {});
    answered.abort();
    await admin.disconnect();
  }
}

export async function deleteTopics(kafka: Kafka, { topics }: Config): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.deleteTopics({ topics: Object.values(topics) });
  } finally {
    await admin.disconnect();
  }
}
