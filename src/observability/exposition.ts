import type { FastifyInstance } from "fastify";
import { type OpenMetricsContentType, Registry } from "prom-client";

/** What a scrape is answered. */
export interface Exposition {
  contentType: string;
  body: string;
}

/** Answers a scrape that came with this `Accept` header. */
export type Exposer = (accept: string | undefined) => Promise<Exposition>;

/**
 * In the format that is asked for: OpenMetrics 1.0, which alone has exemplars, or else Prometheus' text format 0.0.4.
 * To be called once all metrics are registered.
 */
export function createExposer(registry: Registry): Exposer {
  const writeText = shared(registry);
  const writeOpenMetrics = shared(openMetricsOf(registry));
  return async (accept) => {
    return prefersOpenMetrics(accept ?? "") ? writeOpenMetrics() : writeText();
  };
}

/** Whoever asks while it is being written gets the same: it takes milliseconds, and a hundred kilobytes. */
function shared(registry: { contentType: string; metrics(): Promise<string> }): () => Promise<Exposition> {
  let underWay: Promise<Exposition> | undefined;
  const write = async (): Promise<Exposition> => ({
    contentType: registry.contentType,
    body: await registry.metrics(),
  });
  return () => {
    underWay ??= write().finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}

/** `GET /metrics`. */
export const serveMetrics = (app: FastifyInstance, expose: Exposer): void =>
  void app.get("/metrics", async (request, reply) => {
    const { contentType, body } = await expose(request.headers.accept);
    return reply.header("content-type", contentType).header("vary", "accept").send(body);
  });

/**
 * The same metrics in the other format. prom-client renames a counter for good when it is written as OpenMetrics, so this
 * registry has objects of its own, which take all but their name from the real ones.
 */
function openMetricsOf(registry: Registry): Registry<OpenMetricsContentType> {
  const openMetrics = new Registry<OpenMetricsContentType>();
  openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  for (const metric of registry.getMetricsAsArray()) openMetrics.registerMetric(Object.create(metric));
  return openMetrics;
}

const OPEN_METRICS = "application/openmetrics-text";
const TEXT = ["text/plain", "text/*", "*/*"];

/** Media ranges with their weights, as in RFC 9110, 12.5.1. */
function prefersOpenMetrics(accept: string): boolean {
  let openMetrics = 0;
  let text = 0;
  for (const range of accept.toLowerCase().split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim());
    const value = (name: string) =>
      parameters.find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1);
    const weight = Number(value("q") ?? 1);
    if (TEXT.includes(type)) text = Math.max(text, weight);
    else if (type === OPEN_METRICS && ["1.0.0", undefined].includes(value("version"))) {
      openMetrics = Math.max(openMetrics, weight);
    }
  }
  return openMetrics > 0 && openMetrics >= text;
}
