import type { Message } from "kafkajs";
import { explainKafkaError } from "../kafka/errors.ts";
import type { RecordProducer } from "../kafka/producer.ts";
import type { Logger } from "../observability/logger.ts";

export interface SenderOptions {
  producer: Pick<RecordProducer, "send">;
  topic: string;
  brokers: readonly string[];
  logger: Logger;
  /** Milliseconds a caller is kept waiting. */
  patience: number;
  /** Records on their way to Kafka at once; what is above is turned away immediately. */
  maxInFlight: number;
}

/**
 * Sends one record and says whether Kafka has it, within `patience`. False means not known to be there: the record may
 * still arrive. It counts as under way until Kafka or the client gives up on it, however long its caller has gone, so
 * that an outage can't fill the memory.
 */
export type Send = (message: Message) => Promise<boolean>;

export function createSender(options: SenderOptions): Send {
  const { producer, topic, brokers, logger, patience, maxInFlight } = options;
  let inFlight = 0;
  let failing = false;

  const succeeded = (): void => {
    if (failing) logger.info("Kafka takes opt-outs again");
    failing = false;
  };
  const failed = (why: string): void => {
    if (!failing) logger.warn({ reason: why }, "Kafka takes no opt-outs; callers are told to come back");
    failing = true;
  };

  const deliver = async (message: Message, isAwaited: () => boolean): Promise<boolean> => {
    inFlight += 1;
    try {
      await producer.send([{ topic, messages: [message] }]);
      succeeded();
      return true;
    } catch (error) {
      // What becomes of a record long given up says nothing of how Kafka is now.
      if (isAwaited()) failed(explainKafkaError(error, { brokers, topic }).message);
      return false;
    } finally {
      inFlight -= 1;
    }
  };

  return async (message) => {
    if (inFlight >= maxInFlight) {
      failed(`${inFlight} are under way and not acknowledged`);
      return false;
    }
    let awaited = true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => {
        failed(`no acknowledgement within ${patience} ms`);
        resolve(false);
      }, patience);
    });
    const confirmed = await Promise.race([deliver(message, () => awaited), late]);
    awaited = false;
    clearTimeout(timer);
    return confirmed;
  };
}
