import { type Context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { FastifyReply, FastifyRequest } from "fastify";
import { contextOf, readTraceContext, tracer } from "../observability/tracing.ts";

/** Spans of the requests to one route, each a child of what its caller's `traceparent` names. */
export interface RequestSpans {
  start(request: FastifyRequest): void;
  /** What the spans of a request's work are children in. */
  contextOf(request: FastifyRequest): Context;
  end(request: FastifyRequest, reply: FastifyReply): void;
}

const FIRST_SERVER_ERROR = 500;

export function createRequestSpans(route: string): RequestSpans {
  const spans = new WeakMap<FastifyRequest, Span>();
  return {
    start(request) {
      const { method, headers } = request;
      const attributes = { "http.request.method": method, "http.route": route };
      const parent = contextOf(readTraceContext(headers));
      spans.set(
        request,
        tracer.startSpan(`${method} ${route}`, { kind: SpanKind.SERVER, attributes }, parent),
      );
    },
    contextOf(request) {
      const span = spans.get(request);
      return span === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, span);
    },
    end(request, { statusCode }) {
      const span = spans.get(request);
      span?.setAttribute("http.response.status_code", statusCode);
      if (statusCode >= FIRST_SERVER_ERROR) span?.setStatus({ code: SpanStatusCode.ERROR });
      span?.end();
    },
  };
}
