import { OptoutError } from "../errors.ts";
import type { RecordProducer } from "../kafka/producer.ts";
import type { Sample } from "./samples.ts";

export interface FeedOptions {
  samples: readonly Sample[];
  gatewayUrl: string;
  producer: RecordProducer;
  topic: string;
  /** Avro in Confluent's framing; undefined without a registry, and then those events go out as JSON. */
  toAvro: ((event: object) => Buffer) | undefined;
  onSent(count: number): void;
  signal: AbortSignal;
}

const CONCURRENCY = 16;
const REQUEST_TIMEOUT_MS = 15_000;

async function postToGateway(url: string, event: object): Promise<void> {
  const response = await fetch(`${url}/opt-out`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(event),
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  await response.arrayBuffer();
  if (response.status !== 202) {
    throw new OptoutError("internal", `The gateway answered HTTP ${response.status} to a sample.`);
  }
}

/** Sends each sample the way its channel does: over HTTP, or into Kafka. */
export async function feed(options: FeedOptions): Promise<void> {
  const { samples, producer, topic, toAvro, signal } = options;
  const queue = samples.values();
  let sent = 0;

  const send = async ({ channel, event }: Sample): Promise<void> => {
    if (channel === "web") return postToGateway(options.gatewayUrl, event as object);
    const isAvro = channel === "ivr-avro" && toAvro !== undefined;
    const text = typeof event === "string" || event === null ? event : JSON.stringify(event);
    const value = isAvro ? toAvro(event as object) : text;
    return producer.send([{ topic, messages: [{ key: "ivr-session", value }] }]);
  };

  const work = async (): Promise<void> => {
    for (const sample of queue) {
      signal.throwIfAborted();
      await send(sample);
      options.onSent(++sent);
    }
  };
  // All take from one iterator, so each sample is sent once.
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
}
