import type { Message } from "kafkajs";
import type { OptoutError } from "../errors.ts";
import { orAbort } from "../events/abort.ts";
import { explainKafkaError, kafkaErrorType } from "../kafka/errors.ts";
import type { OutgoingRecord } from "../kafka/outgoing.ts";
import { createRecordProducer, type RecordProducer, requestsOf } from "../kafka/producer.ts";
import { readTopic } from "../kafka/topic-reader.ts";
import { requireTopics, withAdmin } from "../kafka/topics.ts";
import type { RedriveContext } from "./context.ts";
import { type Letter, type LetterRecord, redrivenEvent } from "./letter.ts";
import type { RejectedEvent } from "./plan.ts";

/** What became of the events that were to be sent, by the letters they are sent from. In neither: not sent. */
export interface SendReport {
  /** All in-sync replicas have them. */
  sent: ReadonlySet<Letter>;
  /** The topic doesn't take them, for their size or by its other settings. */
  refused: ReadonlySet<Letter>;
  /** Why it ended early, if no signal ended it. Some of what was under way may have arrived; the next run sees it. */
  failure: OptoutError | undefined;
}

interface Outgoing {
  letter: Letter;
  message: Message;
}

/** Of one partition, and so small that Kafka takes it in one request: all of it, or nothing. */
type Piece = readonly Outgoing[];

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
  const sent = new Set<Letter>();
  const refused = new Set<Letter>();
  if (events.length === 0) return { sent, refused, failure: undefined };
  const producer = createRecordProducer(kafka);
  let failure: OptoutError | undefined;
  try {
    signal.throwIfAborted();
    const describing = withAdmin(kafka, brokers, (admin) => requireTopics(admin, config, ["events"]));
    const partitions = (await orAbort(describing, signal)).get("events")?.partitions ?? 0;
    await orAbort(producer.connect(), signal);
    for await (const batch of batchesOf(events, context)) {
      const at = new Date(now()).toISOString();
      const outgoing = batch.map(({ record, letter }) => ({
        letter,
        message: redrivenEvent(record, letter, at, partitions),
      }));
      for (const piece of piecesOf(topic, outgoing)) {
        await send(producer, topic, piece, { sent, refused, signal });
        progress(`sending to ${topic}`, { done: sent.size + refused.size, total: events.length });
      }
    }
  } catch (error) {
    if (!signal.aborted) failure = explainKafkaError(error, { brokers, topic });
  } finally {
    const disconnected = producer.disconnect().catch(() => {});
    // It waits for requests in flight; whoever stopped it doesn't want to.
    if (!signal.aborted) await disconnected;
  }
  return { sent, refused, failure };
}

/**
 * A partition takes a request as a whole or not at all, and knows nothing of other partitions and requests: what was refused
 * can be sent again in smaller pieces only if it was a single one to a single partition. Order within partitions is kept.
 */
function piecesOf(topic: string, outgoing: readonly Outgoing[]): Piece[] {
  const byPartition = new Map<number | undefined, Outgoing[]>();
  for (const each of outgoing) {
    const { partition } = each.message;
    const group = byPartition.get(partition);
    if (group === undefined) byPartition.set(partition, [each]);
    else group.push(each);
  }
  return [...byPartition].flatMap(([partition, group]) => {
    // Without a partition each goes wherever its key says.
    if (partition === undefined) return group.map((each) => [each]);
    const letters = new Map<OutgoingRecord, (typeof group)[number]>(
      group.map((each) => [each.message, each]),
    );
    const requests = requestsOf([{ topic, messages: group.map(({ message }) => message) }]);
    return requests.map((request) =>
      request.flatMap(({ messages }) => messages.flatMap((message) => letters.get(message) ?? [])),
    );
  });
}

/** One that its topic doesn't take is left out. The broker doesn't say which it was, so the piece is halved to find it. */
async function send(
  producer: RecordProducer,
  topic: string,
  piece: Piece,
  to: { sent: Set<Letter>; refused: Set<Letter>; signal: AbortSignal },
): Promise<void> {
  to.signal.throwIfAborted();
  try {
    await orAbort(producer.send([{ topic, messages: piece.map(({ message }) => message) }]), to.signal);
    for (const { letter } of piece) to.sent.add(letter);
  } catch (error) {
    to.signal.throwIfAborted();
    if (!REFUSALS.includes(kafkaErrorType(error) ?? "")) throw error;
    const [only] = piece;
    const half = Math.ceil(piece.length / 2);
    if (only !== undefined && piece.length === 1) to.refused.add(only.letter);
    else for (const part of [piece.slice(0, half), piece.slice(half)]) await send(producer, topic, part, to);
  }
}

/** The last two: a topic that is compacted takes no record without a key, and some take no other time than their own. */
const REFUSALS = ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD", "INVALID_TIMESTAMP"];

interface Found {
  record: LetterRecord;
  letter: Letter;
}

/** As they come from Kafka, a fetch at a time: to keep a few of each would keep their neighbours' bytes, too. */
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
