import { DiagLogLevel, diag, trace } from "@opentelemetry/api";
import { setGlobalErrorHandler } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { messageOf } from "../errors.ts";
import { VERSION } from "../version.ts";
import { within } from "../within.ts";
import type { Logger } from "./logger.ts";
import type { TraceExport } from "./trace-export.ts";

const STOP_MS = 3_000;
/** Between two lines that say that traces can't be exported. */
const COMPLAINT_PAUSE_MS = 60_000;
/** Links of one span, one for each distinct context of a batch's events; OpenTelemetry's default is 128. */
const MAX_LINKS = 2_048;

/** Registers a tracer provider that exports by OTLP; unless `keepsLinkLimit`, with room for a batch's links. */
export function exportTraces(serviceName: string, logger: Logger, keepsLinkLimit: boolean): TraceExport {
  reportTo(logger);
  const own = resourceFromAttributes({ "service.name": serviceName, "service.version": VERSION });
  const provider = new BasicTracerProvider({
    resource: own.merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
    ...(!keepsLinkLimit && { spanLimits: { linkCountLimit: MAX_LINKS } }),
  });
  trace.setGlobalTracerProvider(provider);
  logger.info({ serviceName }, "traces are exported");
  return {
    async stop() {
      await within(STOP_MS, provider.shutdown(), () => new Error("too late")).catch(() => {});
      trace.disable();
    },
  };
}

/** An endpoint that is away is no trouble for opt-outs, so it is told now and then only. */
function reportTo(logger: Logger): void {
  let complainedAt = Number.NEGATIVE_INFINITY;
  const complain = (error: string): void => {
    if (performance.now() - complainedAt < COMPLAINT_PAUSE_MS) return;
    complainedAt = performance.now();
    logger.warn({ error }, "traces can't be exported; opt-outs go on");
  };
  setGlobalErrorHandler((error) => complain(typeof error === "string" ? error : messageOf(error)));
  const silent = () => {};
  diag.setLogger(
    { error: complain, warn: complain, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}
