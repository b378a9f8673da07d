import type { Message } from "kafkajs";
import type { OptoutError } from "../errors.ts";
import { explainKafkaError, kafkaErrorType } from "../kafka/errors.ts";
import { createRecordProducer, type RecordProducer } from "../kafka/producer.ts";
import { readTopic } from "../kafka/topic-reader.ts";
import { requireTopics, withAdmin } from "../kafka/topics.ts";
import type { RedriveContext } from "./context.ts";
import { type Letter, type LetterRecord, redrivenEvent } from "./letter.ts";
import type { RejectedEvent } from "./plan.ts";

/** What became of the events that were to be sent, by their `statusId`. In neither: not sent. */
export interface SendReport {
  /** All in-sync replicas have them. */
  sent: ReadonlySet<string>;
  /** The topic doesn't take them, for their size. */
  refused: ReadonlySet<string>;
  /** Why it ended early, if no signal ended it. Some of what was under way may have arrived; the next run sees it. */
  failure: OptoutError | undefined;
}

interface Outgoing {
  statusId: string;
  message: Message;
}

/**
 * Sends events, whose bytes it reads once more from their dead letters. Never rejects.
 * @param now milliseconds since the epoch
 */
export async function sendEvents(
  events: readonly RejectedEvent[],
  context: RedriveContext,
  now: () => number,
): Promise<SendReport> {
  const { kafka, config, signal, progress } = context;
  const topic = config.topics.events;
  const { brokers } = config.kafka;
  const sent = new Set<string>();
  const refused = new Set<string>();
  if (events.length === 0) return { sent, refused, failure: undefined };
  const producer = createRecordProducer(kafka);
  let failure: OptoutError | undefined;
  try {
    const topics = await withAdmin(kafka, brokers, (admin) => requireTopics(admin, config, ["events"]));
    const partitions = topics.get("events")?.partitions ?? 0;
    await producer.connect();
    for await (const batch of batchesOf(events, context)) {
      if (signal.aborted) break;
      const at = new Date(now()).toISOString();
      const outgoing = batch.map(({ record, letter }) => ({
        statusId: letter.statusId,
        message: redrivenEvent(record, letter, at, partitions),
      }));
      await send(producer, topic, outgoing, { sent, refused });
      progress(`sending to ${topic}`, { done: sent.size + refused.size, total: events.length });
    }
  } catch (error) {
    if (!signal.aborted) failure = explainKafkaError(error, { brokers, topic });
  } finally {
    await producer.disconnect().catch(() => {});
  }
  return { sent, refused, failure };
}

/** One that has become too large for its topic, by the headers it got, is left out; the broker doesn't say which it was. */
async function send(
  producer: RecordProducer,
  topic: string,
  outgoing: readonly Outgoing[],
  { sent, refused }: { sent: Set<string>; refused: Set<string> },
): Promise<void> {
  try {
    await producer.send([{ topic, messages: outgoing.map(({ message }) => message) }]);
    for (const { statusId } of outgoing) sent.add(statusId);
  } catch (error) {
    if (!TOO_LARGE.includes(kafkaErrorType(error) ?? "")) throw error;
    const [only] = outgoing;
    if (only !== undefined && outgoing.length === 1) refused.add(only.statusId);
    else for (const each of outgoing) await send(producer, topic, [each], { sent, refused });
  }
}

const TOO_LARGE = ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"];

interface Found {
  record: LetterRecord;
  letter: Letter;
}

/** As they come from Kafka, a fetch at a time: to keep few of each would keep all of its bytes in memory. */
async function* batchesOf(
  events: readonly RejectedEvent[],
  { kafka, config, signal }: RedriveContext,
): AsyncGenerator<Found[], void, undefined> {
  const wanted = new Map<number, Map<number, Letter>>();
  const firsts = new Map<number, number>();
  for (const { letter } of events) {
    const { partition, offset } = letter;
    wanted.set(partition, (wanted.get(partition) ?? new Map<number, Letter>()).set(offset, letter));
    firsts.set(partition, Math.min(firsts.get(partition) ?? offset, offset));
  }
  const slices = readTopic({
    kafka,
    brokers: config.kafka.brokers,
    topic: config.topics.deadLetter,
    partitions: [...wanted.keys()],
    from: { offsets: firsts },
    signal,
  });
  let left = events.length;
  for await (const { partition, messages } of slices) {
    const found = messages.flatMap((record) => {
      const letter = wanted.get(partition)?.get(Number(record.offset));
      return letter === undefined ? [] : [{ record, letter }];
    });
    if (found.length > 0) yield found;
    left -= found.length;
    if (left === 0) return;
  }
}
