import { setTimeout as sleep } from "node:timers/promises";
import type { Message } from "kafkajs";
import { backoff } from "../delivery/retry.ts";
import { messageOf } from "../errors.ts";
import { kafkaErrorType } from "../kafka/errors.ts";
import type { RecordProducer } from "../kafka/producer.ts";
import type { Logger } from "../observability/logger.ts";

export interface OutgoingMessage {
  topic: string;
  message: Message;
}

/** Publishes status records and dead letters, retrying without end. */
export interface Publisher {
  /**
   * Resolves with true once all in-sync replicas have every message, with false when `signal` was aborted before; never
   * rejects. Messages may be published twice.
   */
  publish(messages: readonly OutgoingMessage[], signal: AbortSignal): Promise<boolean>;
}

export interface PublisherOptions {
  producer: RecordProducer;
  onFailure(): void;
  logger: Logger;
}

interface Waiting {
  messages: readonly OutgoingMessage[];
  signal: AbortSignal;
  resolve(published: boolean): void;
}

const RETRY = { initialBackoff: 200, maxBackoff: 10_000 };

const isTooLarge = (error: unknown): boolean =>
  ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"].includes(kafkaErrorType(error) ?? "");

/** A dead letter with its headers can outgrow what the broker takes, though the record itself did not. */
const withoutValue = ({ topic, message }: OutgoingMessage): OutgoingMessage => ({
  topic,
  message: {
    ...message,
    value: null,
    headers: { ...message.headers, "optout.value.omitted.bytes": String(message.value?.length ?? 0) },
  },
});

export function createPublisher({ producer, onFailure, logger }: PublisherOptions): Publisher {
  let waiting: Waiting[] = [];
  let running = false;

  const send = async (messages: readonly OutgoingMessage[]): Promise<void> => {
    const byTopic = new Map<string, Message[]>();
    for (const { topic, message } of messages) {
      const known = byTopic.get(topic);
      if (known === undefined) byTopic.set(topic, [message]);
      else known.push(message);
    }
    try {
      await producer.send([...byTopic].map(([topic, ofTopic]) => ({ topic, messages: ofTopic })));
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      for (const message of messages) await sendAlone(message, error);
    }
  };

  const sendAlone = async (outgoing: OutgoingMessage, reason: unknown): Promise<void> => {
    const { topic, message } = outgoing;
    try {
      await producer.send([{ topic, messages: [message] }]);
    } catch (error) {
      if (!isTooLarge(error) || message.value === null) throw reason;
      logger.error(
        { topic, bytes: message.value.length },
        "record too large for its topic, published without its value; raise max.message.bytes of that topic",
      );
      const bare = withoutValue(outgoing);
      await producer.send([{ topic, messages: [bare.message] }]);
    }
  };

  /** Everything that waits goes out together; a failure is retried for those whose partition is still ours. */
  const sendGroup = async (group: Waiting[]): Promise<void> => {
    let live = group;
    for (let attempt = 1; ; attempt++) {
      for (const { signal, resolve } of live) if (signal.aborted) resolve(false);
      live = live.filter(({ signal }) => !signal.aborted);
      if (live.length === 0) return;
      try {
        await send(live.flatMap(({ messages }) => messages));
        for (const { resolve } of live) resolve(true);
        return;
      } catch (error) {
        onFailure();
        if (attempt === 1 || attempt % 10 === 0) {
          logger.warn({ error: messageOf(error), attempt }, "publishing results failed; it is retried");
        }
        await sleep(backoff(attempt, RETRY, Math.random));
      }
    }
  };

  const run = async (): Promise<void> => {
    running = true;
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      await sendGroup(group);
    }
    running = false;
  };

  return {
    publish: (messages, signal) =>
      new Promise((resolve) => {
        waiting.push({ messages, signal, resolve });
        if (!running) void run();
      }),
  };
}
