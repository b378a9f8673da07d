import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { startAttemptSpan } from "../../src/delivery/attempt-span.ts";
import { createPhoneMask } from "../../src/observability/phone-mask.ts";
import { wantsTraces } from "../../src/observability/trace-export.ts";
import {
  contextOf,
  exemplarOf,
  isTracing,
  readTraceContext,
  traceHeaders,
  traceIds,
  tracer,
} from "../../src/observability/tracing.ts";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID = "b7ad6b7169203331";
const TRACEPARENT = `00-${TRACE_ID}-${SPAN_ID}-01`;

describe("trace contexts in headers", () => {
  test("one is read from Kafka's headers, HTTP's and those of a binary CloudEvent", () => {
    for (const headers of [
      { traceparent: Buffer.from(TRACEPARENT) },
      { traceparent: TRACEPARENT },
      { ce_traceparent: Buffer.from(TRACEPARENT) },
      { traceparent: "nonsense", ce_traceparent: TRACEPARENT },
    ]) {
      const read = readTraceContext(headers);
      assert.equal(read?.traceId, TRACE_ID);
      assert.equal(read?.spanId, SPAN_ID);
    }
  });

  test("what isn't one is no context, and no error", () => {
    for (const traceparent of [
      "",
      "00-0-0-0",
      TRACEPARENT.toUpperCase().replace("00-", "zz-"),
      `00-${"0".repeat(32)}-${SPAN_ID}-01`,
      `00-${TRACE_ID}-${"0".repeat(16)}-01`,
      `ff-${TRACE_ID}-${SPAN_ID}-01`,
      `00-${"+12125550123".padEnd(32, "0")}-${SPAN_ID}-01`,
      Buffer.alloc(1_000_000, "0"),
      [TRACEPARENT, TRACEPARENT],
      7,
      null,
      undefined,
    ]) {
      assert.equal(readTraceContext({ traceparent }), undefined, String(traceparent).slice(0, 60));
    }
    assert.equal(readTraceContext(Object.create({ traceparent: TRACEPARENT })), undefined);
  });

  test("a sender's tracestate, which may say anything, goes no further", () => {
    const read = readTraceContext({ traceparent: TRACEPARENT, tracestate: "phone=+12125550123" });
    assert.deepEqual(traceHeaders(read), { traceparent: TRACEPARENT });
  });

  test("without a provider a span hands its parent's context on, and a root has none", () => {
    const child = tracer.startSpan("child", {}, contextOf(readTraceContext({ traceparent: TRACEPARENT })));
    assert.deepEqual(traceHeaders(child.spanContext()), { traceparent: TRACEPARENT });
    const root = tracer.startSpan("root");
    assert.deepEqual(traceHeaders(root.spanContext()), {});
    assert.deepEqual(traceIds(root), {});
    assert.equal(exemplarOf(root), undefined);
    assert.deepEqual(traceHeaders(undefined), {});
  });

  test("an exemplar names a span that is kept, and no other", () => {
    const spanOf = (traceparent: string) =>
      tracer.startSpan("span", {}, contextOf(readTraceContext({ traceparent })));
    const ids = { trace_id: TRACE_ID, span_id: SPAN_ID };
    assert.deepEqual(exemplarOf(spanOf(TRACEPARENT)), ids);
    assert.equal(exemplarOf(spanOf(TRACEPARENT.replace(/1$/, "0"))), undefined);
    assert.deepEqual(traceIds(spanOf(TRACEPARENT.replace(/1$/, "0"))), ids);
  });
});

describe("whether traces are exported", () => {
  const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" };

  test("they are off unless an exporter is configured", () => {
    for (const off of [
      {},
      { OTEL_SERVICE_NAME: "relay" },
      { OTEL_EXPORTER_OTLP_ENDPOINT: " " },
      { ...ENDPOINT, OTEL_TRACES_EXPORTER: "none" },
      { ...ENDPOINT, OTEL_SDK_DISABLED: "True" },
    ]) {
      assert.equal(wantsTraces(off), false, JSON.stringify(off));
    }
    for (const on of [
      ENDPOINT,
      { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://otel.example/v1/traces" },
      { OTEL_TRACES_EXPORTER: "otlp" },
      { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" },
    ]) {
      assert.equal(wantsTraces(on), true, JSON.stringify(on));
    }
  });

  test("what can't be done is refused by name, without what may be a password", () => {
    const refusals: [Record<string, string>, RegExp][] = [
      [{ OTEL_TRACES_EXPORTER: "zipkin" }, /OTEL_TRACES_EXPORTER is "zipkin": expected "otlp" or "none"/],
      [
        { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
        /OTEL_EXPORTER_OTLP_PROTOCOL is "grpc": expected "http\/protobuf"/,
      ],
      [
        { OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318" },
        /OTEL_EXPORTER_OTLP_ENDPOINT is no URL with http: or https:/,
      ],
      [
        { OTEL_EXPORTER_OTLP_ENDPOINT: "ftp://user:hunter2@host" },
        /^(?!.*hunter2).*OTEL_EXPORTER_OTLP_ENDPOINT/,
      ],
    ];
    for (const [environment, message] of refusals) {
      assert.throws(() => wantsTraces(environment), { code: "configuration", message });
    }
  });
});

describe("phones in log lines", () => {
  test("all but the last two digits are masked, and the hash is the same for the same phone and key", () => {
    const mask = createPhoneMask("a key");
    // printf +12125550123 | openssl dgst -sha256 -hmac 'a key'
    assert.deepEqual(mask("+12125550123"), { maskedPhone: "+*********23", phoneHash: "703840dcab100f03" });
    assert.notEqual(mask("+12125550123").phoneHash, createPhoneMask("another")("+12125550123").phoneHash);
    assert.notEqual(mask("+12125550123").phoneHash, mask("+12125550124").phoneHash);
  });

  test("without a key each process has one of its own", () => {
    const one = createPhoneMask();
    assert.equal(one("+12125550123").phoneHash, one("+12125550123").phoneHash);
    assert.notEqual(one("+12125550123").phoneHash, createPhoneMask()("+12125550123").phoneHash);
  });
});

describe("attempts", () => {
  const attempt = { environment: "production", parent: ROOT_CONTEXT, entries: 1, attempt: 1 };

  test("are traced from the moment on that a provider is registered, by whoever embeds the relay for one", (t) => {
    assert.equal(isTracing(), false);
    assert.deepEqual(traceIds(startAttemptSpan(attempt).span), {});
    trace.setGlobalTracerProvider(new BasicTracerProvider());
    t.after(() => trace.disable());
    assert.equal(isTracing(), true);
    assert.notDeepEqual(traceIds(startAttemptSpan(attempt).span), {});
  });
});
