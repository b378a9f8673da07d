import { type Context, ROOT_CONTEXT, SpanStatusCode } from "@opentelemetry/api";
import type { Message } from "kafkajs";
import { explainKafkaError } from "../kafka/errors.ts";
import type { RecordProducer } from "../kafka/producer.ts";
import type { Logger } from "../observability/logger.ts";
import { startSendSpan, traceHeaders } from "../observability/tracing.ts";
import type { GatewayMetrics } from "./metrics.ts";

export interface SenderOptions {
  producer: Pick<RecordProducer, "send">;
  topic: string;
  brokers: readonly string[];
  logger: Logger;
  metrics: Pick<GatewayMetrics, "produceSeconds" | "recordsInFlight">;
  /** Milliseconds a caller is kept waiting. */
  patience: number;
  /** Records on their way to Kafka at once; what is above is turned away immediately. */
  maxInFlight: number;
}

/** A record on its way. */
export interface Delivery {
  /** Whether Kafka has it on all in-sync replicas; never rejects. False: not known to be there, it may still arrive. */
  readonly acknowledged: Promise<boolean>;
  /** How many callers wait for it now. */
  waiting: number;
}

export interface Sender {
  /**
   * Undefined if too many are under way. A record counts as under way until Kafka or the client gives up on it,
   * however long its caller has gone, so that an outage can't fill the memory. Its span is a child in `trace`.
   */
  start(message: Message, trace?: Context): Delivery | undefined;
  /** Whether Kafka has the record within `patience`. */
  confirmed(delivery: Delivery): Promise<boolean>;
}

export function createSender(options: SenderOptions): Sender {
  const { producer, topic, brokers, logger, metrics, patience, maxInFlight } = options;
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

  const send = async (message: Message, trace: Context, isAwaited: () => boolean): Promise<boolean> => {
    const span = startSendSpan(topic, trace, 1);
    const headers = { ...message.headers, ...traceHeaders(span.spanContext()) };
    const observe = metrics.produceSeconds.startTimer();
    metrics.recordsInFlight.set(++inFlight);
    try {
      await producer.send([{ topic, messages: [{ ...message, headers }] }]);
      observe({ outcome: "acknowledged" });
      succeeded();
      return true;
    } catch (error) {
      observe({ outcome: "failed" });
      span.setStatus({ code: SpanStatusCode.ERROR });
      // What becomes of a record long given up says nothing of how Kafka is now.
      if (isAwaited()) failed(explainKafkaError(error, { brokers, topic }).message);
      return false;
    } finally {
      metrics.recordsInFlight.set(--inFlight);
      span.end();
    }
  };

  return {
    start(message, trace = ROOT_CONTEXT) {
      if (inFlight >= maxInFlight) {
        failed(`${inFlight} are under way and not acknowledged`);
        return undefined;
      }
      const caller = { waiting: 0 };
      const acknowledged = send(message, trace, () => caller.waiting > 0);
      return Object.assign(caller, { acknowledged });
    },
    async confirmed(delivery) {
      delivery.waiting += 1;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<boolean>((resolve) => {
        timer = setTimeout(() => {
          failed(`no acknowledgement within ${patience} ms`);
          resolve(false);
        }, patience);
      });
      try {
        return await Promise.race([delivery.acknowledged, late]);
      } finally {
        delivery.waiting -= 1;
        clearTimeout(timer);
      }
    },
  };
}
