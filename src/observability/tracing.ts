import {
  type Context,
  defaultTextMapGetter,
  defaultTextMapSetter,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  TraceFlags,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { VERSION } from "../version.ts";

const NAME = "optout-relay";

/**
 * Makes the spans of this program. They are no-ops unless a provider is registered: `startTracing` does it for the
 * program's own commands, and whoever embeds the relay may register any other.
 */
export const tracer: Tracer = trace.getTracer(NAME, VERSION);

/** False while no provider is registered: what is said to a span would be thrown away, so it needn't be worked out. */
export function isTracing(): boolean {
  const provider = trace.getTracerProvider();
  return (
    !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer(NAME, VERSION) !== undefined
  );
}

/** For all that isn't traced. */
export const NO_SPAN: Span = trace.wrapSpanContext(INVALID_SPAN_CONTEXT);

/**
 * Trace contexts alone, without baggage: that could hold anything, a phone number too, and would be sent to every
 * environment. (https://www.w3.org/TR/trace-context/)
 */
const propagator = new W3CTraceContextPropagator();

/** As CloudEvents' extension for distributed tracing names it in Kafka's headers. */
const NAMES = ["traceparent", "ce_traceparent"];

const textOf = (value: unknown): string | undefined =>
  typeof value === "string" || Buffer.isBuffer(value) ? value.toString() : undefined;

/**
 * The trace context in the headers of a record or request; undefined if there is none, or none that is valid. Without the
 * sender's `tracestate`, which is free text: what comes out of here is digits only.
 */
export function readTraceContext(headers: Readonly<Record<string, unknown>>): SpanContext | undefined {
  for (const name of NAMES) {
    const traceparent = Object.hasOwn(headers, name) ? textOf(headers[name]) : undefined;
    if (traceparent === undefined) continue;
    const read = propagator.extract(ROOT_CONTEXT, { traceparent }, defaultTextMapGetter);
    const spanContext = trace.getSpanContext(read);
    if (spanContext === undefined) continue;
    const { traceId, spanId, traceFlags } = spanContext;
    return { traceId, spanId, traceFlags, isRemote: true };
  }
  return undefined;
}

/** What spans are made within to be children of this one. */
export const contextOf = (spanContext: SpanContext | undefined): Context =>
  spanContext === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, spanContext);

/** The headers that hand a span's context on; none if it has no valid one. */
export function traceHeaders(spanContext: SpanContext | undefined): Record<string, string> {
  const headers: Record<string, string> = {};
  propagator.inject(contextOf(spanContext), headers, defaultTextMapSetter);
  return headers;
}

/** The span of sending so many records to a topic, a child in `parent`. */
export const startSendSpan = (topic: string, parent: Context, records: number): Span =>
  tracer.startSpan(
    `send ${topic}`,
    {
      kind: SpanKind.PRODUCER,
      attributes: {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        ...(records > 1 && { "messaging.batch.message_count": records }),
      },
    },
    parent,
  );

/** A span's context to be handed on; undefined for the no-op span of a program that doesn't trace. */
export function recordedContext(span: Span | undefined): SpanContext | undefined {
  const spanContext = span?.spanContext();
  return spanContext !== undefined && isSpanContextValid(spanContext) ? spanContext : undefined;
}

export interface TraceIds {
  trace_id: string;
  span_id: string;
}

const idsOf = ({ traceId, spanId }: SpanContext): TraceIds => ({ trace_id: traceId, span_id: spanId });

/** For log lines, under OpenTelemetry's names for them; nothing without a trace. */
export function traceIds(span: Span | undefined): Partial<TraceIds> {
  const spanContext = recordedContext(span);
  return spanContext === undefined ? {} : idsOf(spanContext);
}

/** For exemplars: those of a span that is kept, since the others can't be looked up. */
export function exemplarOf(span: Span | undefined): TraceIds | undefined {
  const spanContext = recordedContext(span);
  const isKept = spanContext !== undefined && (spanContext.traceFlags & TraceFlags.SAMPLED) !== 0;
  return isKept ? idsOf(spanContext) : undefined;
}
