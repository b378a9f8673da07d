import { setTimeout as sleep } from "node:timers/promises";
import { backoff } from "../delivery/retry.ts";
import { messageOf } from "../errors.ts";
import { explainKafkaError, kafkaErrorType } from "../kafka/errors.ts";
import { type OutgoingRecord, sizeOf } from "../kafka/outgoing.ts";
import type { RecordProducer } from "../kafka/producer.ts";
import type { Logger } from "../observability/logger.ts";
import { bareDeadLetter } from "../results/dead-letter.ts";

export interface OutgoingMessage {
  topic: string;
  message: OutgoingRecord;
}

/** Publishes status records and dead letters, retrying without end. */
export interface Publisher {
  /**
   * Resolves with true once all in-sync replicas have every message, with false when `signal` was aborted before; never
   * rejects. Messages may be published twice. One that the broker doesn't take in any form holds up only the call it came
   * with.
   * @param write called once, when it is their turn: what waits for a slow broker needn't be held in memory.
   * @param onAside called at most once: one of them is refused, so this may take until somebody changes the topic.
   */
  publish(
    write: () => readonly OutgoingMessage[],
    signal: AbortSignal,
    onAside?: () => void,
  ): Promise<boolean>;
}

export interface PublisherOptions {
  producer: RecordProducer;
  /** For messages: kafka.brokers as configured. */
  brokers: readonly string[];
  /** Something has to be sent again. */
  onFailure(): void;
  logger: Logger;
}

/** What one call of `publish` asked for. */
interface Parcel {
  write(): readonly OutgoingMessage[];
  /** Undefined until it is their turn. */
  messages: readonly OutgoingMessage[] | undefined;
  signal: AbortSignal;
  resolve(published: boolean): void;
  onAside: (() => void) | undefined;
  /** How many of its messages are out; they go in order. */
  out: number;
  /** How often in a row its next message was refused. While above 0, that message goes alone. */
  refusals: number;
  /** Its next message was refused just now: nothing more of it goes out before it has waited for a while. */
  isAside: boolean;
}

interface Item {
  parcel: Parcel;
  outgoing: OutgoingMessage;
}

const RETRY = { initialBackoff: 200, maxBackoff: 10_000 };
/** A send must be through within the producer's minute even on a slow cluster, or it would start over for ever. */
const MAX_MESSAGES_PER_SEND = 2_000;
const MAX_BYTES_PER_SEND = 4 * 1024 * 1024;

const TOO_LARGE = ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"];
/** Refused for what one record of the request is; the broker takes none of them, and doesn't say which it was. */
const REFUSED = [...TOO_LARGE, "INVALID_RECORD", "INVALID_TIMESTAMP"];

const isTooLarge = (error: unknown): boolean => TOO_LARGE.includes(kafkaErrorType(error) ?? "");
const isRefused = (error: unknown): boolean => REFUSED.includes(kafkaErrorType(error) ?? "");

/** A dead letter with its headers can outgrow what the broker takes, though the record itself did not. */
const withoutValue = (message: OutgoingRecord): OutgoingRecord => ({
  ...message,
  value: null,
  headers: { ...message.headers, "optout.value.omitted.bytes": String(message.value?.length ?? 0) },
});

/** What to send in place of a message that is too large by itself, the fullest first. */
function smallerForms(message: OutgoingRecord): OutgoingRecord[] {
  const bare = bareDeadLetter(message);
  return [...(message.value === null ? [] : [withoutValue(message)]), ...(bare === undefined ? [] : [bare])];
}

/** The messages whose turn it is: in order, as many as go out at once. */
function nextItems(parcels: readonly Parcel[]): Item[] {
  const items: Item[] = [];
  let bytes = 0;
  for (const parcel of parcels) {
    if (parcel.refusals > 0 && items.length > 0) break;
    if (parcel.messages === undefined) {
      parcel.messages = parcel.write();
      if (isOut(parcel)) parcel.resolve(true);
    }
    for (const outgoing of parcel.messages.slice(parcel.out, parcel.out + MAX_MESSAGES_PER_SEND)) {
      bytes += sizeOf(outgoing.message);
      const isFull = items.length === MAX_MESSAGES_PER_SEND || bytes > MAX_BYTES_PER_SEND;
      if (isFull && items.length > 0) return items;
      items.push({ parcel, outgoing });
      if (parcel.refusals > 0) return items;
    }
  }
  return items;
}

const isOut = ({ messages, out }: Parcel): boolean => out === messages?.length;

export function createPublisher({ producer, brokers, onFailure, logger }: PublisherOptions): Publisher {
  let waiting: Parcel[] = [];
  let running = false;

  const send = async (items: readonly Item[]): Promise<void> => {
    const byTopic = new Map<string, OutgoingRecord[]>();
    for (const { topic, message } of items.map(({ outgoing }) => outgoing)) {
      const known = byTopic.get(topic);
      if (known === undefined) byTopic.set(topic, [message]);
      else known.push(message);
    }
    await producer.send([...byTopic].map(([topic, messages]) => ({ topic, messages })));
    for (const { parcel } of items) {
      parcel.out++;
      parcel.refusals = 0;
      if (isOut(parcel)) parcel.resolve(true);
    }
  };

  /** Sends these in order. Those that the broker refuses are found by halving, and put aside with their parcels. */
  const deliver = async (candidates: readonly Item[]): Promise<void> => {
    const items = candidates.filter(({ parcel }) => !parcel.isAside && !parcel.signal.aborted);
    const [first] = items;
    if (first === undefined) return;
    try {
      await send(items);
    } catch (error) {
      if (!isRefused(error)) throw error;
      if (items.length === 1) return deliverSmaller(first, error);
      const middle = Math.ceil(items.length / 2);
      await deliver(items.slice(0, middle));
      await deliver(items.slice(middle));
    }
  };

  const deliverSmaller = async ({ parcel, outgoing }: Item, refusal: unknown): Promise<void> => {
    const { topic, message } = outgoing;
    for (const smaller of isTooLarge(refusal) ? smallerForms(message) : []) {
      try {
        await send([{ parcel, outgoing: { topic, message: smaller } }]);
        logger.error(
          { topic, bytes: sizeOf(message) },
          "record too large for its topic, published without what is too large of it; raise max.message.bytes of that topic",
        );
        return;
      } catch (error) {
        if (!isRefused(error)) throw error;
      }
    }
    putAside(parcel, { topic, bytes: sizeOf(message), error: messageOf(refusal) });
  };

  /** Nothing is dropped: this parcel is tried again and again, while the others go on. */
  const putAside = (parcel: Parcel, details: Record<string, unknown>): void => {
    parcel.isAside = true;
    parcel.onAside?.();
    parcel.onAside = undefined;
    parcel.refusals++;
    onFailure();
    if (parcel.refusals === 1 || parcel.refusals % 10 === 0) {
      logger.error(
        { ...details, attempt: parcel.refusals },
        "the topic refuses a result, which is retried; its partition can't go on until the topic's settings allow it",
      );
    }
  };

  const comeBack = async (parcel: Parcel): Promise<void> => {
    await sleep(backoff(parcel.refusals, RETRY, Math.random));
    parcel.isAside = false;
    enqueue(parcel);
  };

  /** Takes out of the line what is done, void or put aside. Not while a send is under way, which holds items of these. */
  const tidy = (): void => {
    for (const parcel of waiting) {
      if (parcel.signal.aborted) parcel.resolve(false);
      else if (parcel.isAside) void comeBack(parcel);
    }
    waiting = waiting.filter((parcel) => !parcel.signal.aborted && !parcel.isAside && !isOut(parcel));
  };

  const run = async (): Promise<void> => {
    running = true;
    let attempt = 0;
    for (tidy(); waiting.length > 0; tidy()) {
      const items = nextItems(waiting);
      try {
        await deliver(items);
        attempt = 0;
      } catch (error) {
        attempt++;
        onFailure();
        if (attempt === 1 || attempt % 10 === 0) {
          const topic = [...new Set(items.map(({ outgoing }) => outgoing.topic))].join('" or "');
          const { message } = explainKafkaError(error, { brokers, topic });
          logger.warn({ error: message, attempt }, "publishing results failed; it is retried");
        }
        await sleep(backoff(attempt, RETRY, Math.random));
      }
    }
    running = false;
  };

  const enqueue = (parcel: Parcel): void => {
    waiting.push(parcel);
    if (!running) void run();
  };

  return {
    publish: (write, signal, onAside) =>
      new Promise((resolve) => {
        const state = { messages: undefined, out: 0, refusals: 0, isAside: false };
        enqueue({ write, signal, resolve, onAside, ...state });
      }),
  };
}
