import { type Context, type Link, ROOT_CONTEXT, type Span, SpanKind, trace } from "@opentelemetry/api";
import type { BatchScope } from "../batching/batch.ts";
import { isTracing, NO_SPAN, readTraceContext, traceIds, tracer } from "../observability/tracing.ts";
import type { SealedBatch } from "./sealed-batch.ts";

/** A batch in logs and spans: where its events are. Not its idempotency key, which stays between the relay and the environments. */
const batchId = ({ partition }: BatchScope, { first, last }: Pick<SealedBatch, "first" | "last">): string =>
  `${partition}:${first}-${last}`;

/** The span of a batch from its sealing to the publishing of its last status. */
export interface BatchSpan {
  readonly span: Span;
  /** What the spans of its requests and its publishing are children in. */
  readonly context: Context;
  /** For log lines: `batch`, and with a trace `trace_id` and `span_id`. */
  readonly ids: Readonly<Record<string, string>>;
}

export interface BatchSpanOptions {
  scope: BatchScope;
  groupId: string;
  trigger: string;
}

/**
 * Starts the span, with a link to each context that the batch's events came with: they are of many traces, so it has none
 * of them as its parent. (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/)
 */
export function startBatchSpan(
  sealed: SealedBatch,
  { scope, groupId, trigger }: BatchSpanOptions,
): BatchSpan {
  const batchIds = { batch: batchId(scope, sealed) };
  if (!isTracing()) return { span: NO_SPAN, context: ROOT_CONTEXT, ids: batchIds };
  const { batch, first, last } = sealed;
  const span = tracer.startSpan(
    `process ${scope.topic}`,
    {
      kind: SpanKind.CONSUMER,
      attributes: {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": scope.topic,
        "messaging.destination.partition.id": String(scope.partition),
        "messaging.consumer.group.name": groupId,
        "messaging.batch.message_count": batch.events.length,
        "optout.batch.first_offset": first,
        "optout.batch.last_offset": last,
        "optout.batch.entries": batch.entries.length,
        "optout.batch.trigger": trigger,
      },
    },
    ROOT_CONTEXT,
  );
  // Nobody would see them otherwise.
  if (span.isRecording()) span.addLinks(linksOf(sealed));
  return {
    span,
    context: trace.setSpan(ROOT_CONTEXT, span),
    ids: { ...batchIds, ...traceIds(span) },
  };
}

function linksOf({ batch }: SealedBatch): Link[] {
  const links = new Map<string, Link>();
  for (const { record } of batch.events) {
    const context = readTraceContext(record.headers);
    if (context === undefined || links.has(context.spanId)) continue;
    links.set(context.spanId, { context, attributes: { "messaging.kafka.offset": record.offset } });
  }
  return [...links.values()];
}

/** The epoch is over before the batch is settled: who owns the partition next begins a span of its own. */
export function abandonSpan({ span }: BatchSpan): void {
  span.setAttribute("optout.abandoned", true);
  span.end();
}
