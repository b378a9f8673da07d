import type { SpanContext } from "@opentelemetry/api";
import { OptoutError } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { PhoneInLogs } from "../observability/phone-mask.ts";
import { exemplarOf, recordedContext, startSendSpan } from "../observability/tracing.ts";
import type { BatchSpan } from "./batch-span.ts";
import type { Brake } from "./brake.ts";
import type { Publisher } from "./publisher.ts";
import { type BatchResults, batchResults, type ResultContext } from "./result-messages.ts";
import type { SealedBatch } from "./sealed-batch.ts";

/** Publishes what became of an answered batch; counts and logs it. */
export interface ResultPublisher {
  /** Resolves when all of it is published; never, once `signal` is aborted: the partition's next owner publishes. */
  publish(sealed: SealedBatch, signal: AbortSignal, trace: BatchSpan | undefined): Promise<void>;
  readonly isPublishing: boolean;
}

export interface ResultPublisherOptions {
  publisher: Publisher;
  /** Told of the events whose results wait, but for refused ones: those may wait until somebody changes the topic. */
  brake: Pick<Brake, "add">;
  context: ResultContext;
  metrics: Metrics;
  maskPhone(phone: string): PhoneInLogs;
  logger: Logger;
  onFatal(error: OptoutError): void;
  /** Its results are published. */
  onPublished(batch: SealedBatch["batch"], results: BatchResults): void;
}

export function createResultPublisher(options: ResultPublisherOptions): ResultPublisher {
  const { publisher, brake, context, metrics, logger, onFatal } = options;
  let publishing = 0;

  /** Without a status its batch can't be settled, so a failure here must not be passed over. */
  const resultsOf = (sealed: SealedBatch, spanContext: SpanContext | undefined): BatchResults | undefined => {
    try {
      const keepsAll = logger.isLevelEnabled("debug");
      return batchResults(sealed, context, Date.now(), { spanContext, keepsAll });
    } catch {
      // Not the encoder's words: they may quote the record, and a phone with it.
      onFatal(
        new OptoutError(
          "internal",
          `A status record of partition ${sealed.batch.partition} can't be encoded. Compare the schema registered for the status topic with schemas/opt-out-status.avsc, then start the relay again.`,
        ),
      );
      return undefined;
    }
  };

  const count = (results: BatchResults, trace: BatchSpan | undefined): void => {
    for (const [outcome, events] of Object.entries(results.outcomes)) {
      metrics.eventsCompleted.inc({ outcome }, events);
    }
    for (const [reason, events] of results.rejections) metrics.eventsRejected.inc({ reason }, events);
    const exemplar = exemplarOf(trace?.span);
    for (const askedAt of results.deliveredAskedAt) {
      metrics.endToEndSeconds.observe({}, Math.max(0, results.answeredAt - askedAt) / 1000, exemplar);
    }
  };

  const log = ({ statuses, rejections }: BatchResults, trace: BatchSpan | undefined): void => {
    const isDetailed = logger.isLevelEnabled("debug");
    if (!isDetailed && rejections.size === 0) return;
    for (const { phone, outcome, reason, origin, environments } of statuses) {
      const isRefusal = phone !== null && reason !== null;
      if (!isRefusal && !isDetailed) continue;
      const line = {
        ...trace?.ids,
        offset: origin.offset,
        outcome,
        ...(phone !== null && options.maskPhone(phone)),
        ...(reason !== null && { reason }),
      };
      if (isRefusal) {
        const refusedBy = environments.filter((each) => each.outcome === "rejected").map(({ name }) => name);
        logger.warn(
          { ...line, refusedBy },
          "an opt-out was refused for good; it is in the dead-letter topic",
        );
      } else {
        logger.debug(line, "event settled");
      }
    }
  };

  return {
    get isPublishing() {
      return publishing > 0;
    },
    async publish(sealed, signal, trace) {
      const span = trace && startSendSpan(context.topics.status, trace.context, sealed.batch.events.length);
      let results: BatchResults | undefined;
      publishing++;
      let { length } = sealed.batch.events;
      brake.add(length);
      const onAside = (): void => {
        brake.add(-length);
        length = 0;
      };
      const published = await publisher.publish(
        () => {
          results = resultsOf(sealed, recordedContext(span));
          return results?.messages ?? [];
        },
        signal,
        onAside,
      );
      publishing--;
      brake.add(-length);
      span?.end();
      if (!published || results === undefined) return never();
      count(results, trace);
      log(results, trace);
      options.onPublished(sealed.batch, results);
    },
  };
}

const never = (): Promise<never> => new Promise(() => {});
