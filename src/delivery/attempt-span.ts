import { type Context, type Span, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { isTracing, NO_SPAN, traceHeaders, tracer } from "../observability/tracing.ts";
import type { HttpSend } from "./dialects/dialect.ts";

/** The span of one request to an environment. It holds no URL: the environment's name says which it was. */
export interface AttemptSpan {
  readonly span: Span;
  /** Sends with the span's context in the headers, for the environment to go on from. */
  sending(send: HttpSend): HttpSend;
  /** `outcome` as in the metric `optout_delivery_attempts_total`; "aborted" if nobody waits for the answer any more. */
  end(outcome: string, httpStatus?: number | null): void;
}

export interface AttemptSpanOptions {
  environment: string;
  /** Of the batch's span. */
  parent: Context;
  entries: number;
  /** 1 for the first. */
  attempt: number;
}

const FIRST_ERROR_STATUS = 400;

const UNTRACED: AttemptSpan = { span: NO_SPAN, sending: (send) => send, end() {} };

export function startAttemptSpan({ environment, parent, entries, attempt }: AttemptSpanOptions): AttemptSpan {
  if (!isTracing()) return UNTRACED;
  const span = tracer.startSpan(
    `POST ${environment}`,
    {
      kind: SpanKind.CLIENT,
      attributes: {
        "http.request.method": "POST",
        "optout.environment": environment,
        "optout.batch.entries": entries,
        ...(attempt > 1 && { "http.request.resend_count": attempt - 1 }),
      },
    },
    parent,
  );
  return {
    span,
    sending(send) {
      const headers = traceHeaders(span.spanContext());
      return (request) => send({ ...request, headers: { ...request.headers, ...headers } });
    },
    end(outcome, httpStatus) {
      span.setAttribute("optout.outcome", outcome);
      if (typeof httpStatus === "number") span.setAttribute("http.response.status_code", httpStatus);
      if (outcome !== "acknowledged" && outcome !== "entries") {
        const isHttpError = typeof httpStatus === "number" && httpStatus >= FIRST_ERROR_STATUS;
        span.setAttribute("error.type", isHttpError ? String(httpStatus) : outcome);
        span.setStatus({ code: SpanStatusCode.ERROR });
      }
      span.end();
    },
  };
}
