import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import protobuf from "protobufjs";

/** What of OTLP's spans the tests look at. (https://github.com/open-telemetry/opentelemetry-proto) */
const PROTO = `
syntax = "proto3";
message Request { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { repeated Span spans = 2; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9;
  repeated Link links = 13; uint32 dropped_links_count = 14; Status status = 15;
}
message Link { bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; repeated KeyValue attributes = 4; }
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
`;
const Request = protobuf.parse(PROTO).root.lookupType("Request");

interface RawKeyValue {
  key: string;
  value?: { stringValue?: string; boolValue?: boolean; intValue?: number; doubleValue?: number };
}
interface RawSpan {
  traceId: Uint8Array;
  spanId: Uint8Array;
  parentSpanId: Uint8Array;
  name: string;
  kind: number;
  startTimeUnixNano: number;
  endTimeUnixNano: number;
  attributes: RawKeyValue[];
  links: { traceId: Uint8Array; spanId: Uint8Array; traceState: string; attributes: RawKeyValue[] }[];
  status?: { code: number };
}
interface RawRequest {
  resourceSpans: { resource: { attributes: RawKeyValue[] }; scopeSpans: { spans: RawSpan[] }[] }[];
}

type Attributes = Record<string, string | boolean | number | undefined>;

export interface CollectedSpan {
  service: string;
  traceId: string;
  spanId: string;
  /** Empty for a root. */
  parentSpanId: string;
  name: string;
  /** As OTLP counts them: 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number;
  attributes: Attributes;
  links: { traceId: string; spanId: string; traceState: string; attributes: Attributes }[];
  isError: boolean;
  /** Of the clock, in nanoseconds; not exact. */
  startedAt: number;
  endedAt: number;
}

/** An OTLP endpoint that keeps what it gets. */
export interface OtlpCollector {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  readonly spans: readonly CollectedSpan[];
  /** All bodies, as text: for looking through it for what must not be there. */
  text(): string;
  [Symbol.asyncDispose](): Promise<void>;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const attributesOf = (pairs: RawKeyValue[]): Attributes =>
  Object.fromEntries(
    pairs.map(({ key, value = {} }) => [
      key,
      value.stringValue ?? value.boolValue ?? value.intValue ?? value.doubleValue,
    ]),
  );

function spansOf(body: Buffer): CollectedSpan[] {
  const decoded = Request.toObject(Request.decode(body), { longs: Number, arrays: true }) as RawRequest;
  return decoded.resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(attributesOf(resource.attributes)["service.name"]);
    return scopeSpans
      .flatMap(({ spans }) => spans)
      .map((span) => ({
        service,
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentSpanId: hex(span.parentSpanId ?? []),
        name: span.name,
        kind: span.kind,
        attributes: attributesOf(span.attributes),
        links: span.links.map((link) => ({
          traceId: hex(link.traceId),
          spanId: hex(link.spanId),
          traceState: link.traceState ?? "",
          attributes: attributesOf(link.attributes),
        })),
        isError: span.status?.code === 2,
        startedAt: span.startTimeUnixNano,
        endedAt: span.endTimeUnixNano,
      }));
  });
}

export async function startOtlpCollector(): Promise<OtlpCollector> {
  const spans: CollectedSpan[] = [];
  const bodies: Buffer[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (request.url !== "/v1/traces" || request.headers["content-type"] !== "application/x-protobuf") {
      response.writeHead(404).end();
      return;
    }
    bodies.push(body);
    spans.push(...spansOf(body));
    response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    text: () => Buffer.concat(bodies).toString("latin1"),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}
