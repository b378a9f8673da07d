import { OptoutError } from "../errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Publisher } from "./publisher.ts";
import { type BatchResults, batchResults, type ResultContext } from "./result-messages.ts";
import type { SealedBatch } from "./sealed-batch.ts";

/** Publishes what became of an answered batch, and counts it. */
export interface ResultPublisher {
  /** Resolves when all of it is published; never, once `signal` is aborted: the partition's next owner publishes. */
  publish(sealed: SealedBatch, signal: AbortSignal): Promise<void>;
  readonly isPublishing: boolean;
}

export interface ResultPublisherOptions {
  publisher: Publisher;
  context: ResultContext;
  metrics: Metrics;
  onFatal(error: OptoutError): void;
}

export function createResultPublisher(options: ResultPublisherOptions): ResultPublisher {
  const { publisher, context, metrics, onFatal } = options;
  let publishing = 0;

  /** Without a status its batch can't be settled, so a failure here must not be passed over. */
  const resultsOf = (sealed: SealedBatch): BatchResults | undefined => {
    try {
      return batchResults(sealed, context, Date.now());
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

  const count = (results: BatchResults): void => {
    for (const [outcome, events] of Object.entries(results.outcomes)) {
      metrics.eventsCompleted.inc({ outcome }, events);
    }
    for (const [reason, events] of results.rejections) metrics.eventsRejected.inc({ reason }, events);
    for (const askedAt of results.deliveredAskedAt) {
      metrics.endToEndSeconds.observe(Math.max(0, results.answeredAt - askedAt) / 1000);
    }
  };

  return {
    get isPublishing() {
      return publishing > 0;
    },
    async publish(sealed, signal) {
      const results = resultsOf(sealed);
      if (results === undefined) return never();
      publishing++;
      const published = await publisher.publish(results.messages, signal);
      publishing--;
      if (!published) return never();
      count(results);
    },
  };
}

const never = (): Promise<never> => new Promise(() => {});
