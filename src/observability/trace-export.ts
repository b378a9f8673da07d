import { OptoutError } from "../errors.ts";
import type { Logger } from "./logger.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const ENDPOINTS = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"] as const;
const PROTOCOLS = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] as const;

/** As the specification wants it, an empty variable is one that isn't set. */
const variable = (environment: Environment, name: string): string | undefined => {
  const value = environment[name]?.trim();
  return value === "" ? undefined : value;
};

const wrong = (name: string, value: string, expected: string): OptoutError =>
  new OptoutError("configuration", `${name} is ${JSON.stringify(value)}: expected ${expected}.`);

/**
 * Whether OpenTelemetry's own variables ask for traces. Throws an OptoutError `configuration` for what this program can't
 * do. (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/)
 */
export function wantsTraces(environment: Environment): boolean {
  if (variable(environment, "OTEL_SDK_DISABLED")?.toLowerCase() === "true") return false;
  const exporter = variable(environment, "OTEL_TRACES_EXPORTER");
  if (exporter === "none") return false;
  if (exporter !== undefined && exporter !== "otlp") {
    throw wrong("OTEL_TRACES_EXPORTER", exporter, '"otlp" or "none"');
  }
  const endpoint = ENDPOINTS.find((name) => variable(environment, name) !== undefined);
  if (exporter === undefined && endpoint === undefined) return false;
  for (const name of PROTOCOLS) {
    const protocol = variable(environment, name);
    if (protocol !== undefined && protocol !== "http/protobuf")
      throw wrong(name, protocol, '"http/protobuf"');
  }
  for (const name of ENDPOINTS) {
    const url = variable(environment, name);
    // Not shown: it may hold a password.
    if (url !== undefined && !(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol))) {
      throw new OptoutError(
        "configuration",
        `${name} is no URL with http: or https:. Example: http://127.0.0.1:4318`,
      );
    }
  }
  return true;
}

export interface TraceExport {
  /** Sends what is left, for a few seconds at most; never rejects. */
  stop(): Promise<void>;
}

/**
 * Registers a tracer provider that exports to an OTLP endpoint over HTTP, if OpenTelemetry's variables ask for it: off
 * unless `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_TRACES_EXPORTER=otlp` is set.
 * Sampler, limits, headers, TLS, timeouts and resource attributes are set by the other `OTEL_` variables. Bounded memory:
 * spans that the endpoint doesn't take are dropped.
 */
export async function startTracing(
  serviceName: string,
  logger: Logger,
  environment: Environment = process.env,
): Promise<TraceExport> {
  if (!wantsTraces(environment)) return { stop: async () => {} };
  // A large library, loaded only by those who use it.
  const { exportTraces } = await import("./otlp-export.ts");
  const isLinkLimitSet = variable(environment, "OTEL_SPAN_LINK_COUNT_LIMIT") !== undefined;
  return exportTraces(serviceName, logger, isLinkLimitSet);
}
