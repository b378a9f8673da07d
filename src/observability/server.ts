import { fastify } from "fastify";
import type { Registry } from "prom-client";
import { messageOf, OptoutError } from "../errors.ts";

/** `ok`, or why not. */
export type Health = { ok: true } | { ok: false; reason: string };

export interface ObservedProcess {
  live(): Health;
  ready(): Health;
  state(): unknown;
  metrics: { registry: Registry };
}

export interface ObservabilityServer {
  /** `http://host:port`. */
  readonly url: string;
  close(): Promise<void>;
}

const REQUEST_TIMEOUT_MS = 10_000;

/**
 * `/metrics`, `/livez`, `/readyz`, `/state`. Loopback unless configured otherwise; port 0 takes any free one.
 * Throws OptoutError `configuration` if it can't listen.
 */
export async function startObservabilityServer(
  observed: ObservedProcess,
  { host, port }: { host: string; port: number },
): Promise<ObservabilityServer> {
  const app = fastify({
    logger: false,
    bodyLimit: 1024,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
  });
  const answer = (health: Health) => ({
    status: health.ok ? "ok" : "unavailable",
    ...(!health.ok && { reason: health.reason }),
  });
  app.get("/metrics", async (_request, reply) => {
    void reply.header("content-type", observed.metrics.registry.contentType);
    return observed.metrics.registry.metrics();
  });
  for (const [path, check] of [
    ["/livez", observed.live],
    ["/readyz", observed.ready],
  ] as const) {
    app.get(path, async (_request, reply) => {
      const health = check();
      return reply.code(health.ok ? 200 : 503).send(answer(health));
    });
  }
  app.get("/state", async () => observed.state());
  app.setNotFoundHandler(async (_request, reply) =>
    reply.code(404).send({ error: "not_found", message: "see /metrics, /livez, /readyz and /state" }),
  );
  try {
    return { url: await app.listen({ host, port }), close: () => app.close() };
  } catch (error) {
    await app.close();
    throw new OptoutError(
      "configuration",
      `Can't listen on ${host}:${port} (server.host, server.port): ${messageOf(error)}. Choose another port, or stop what uses this one.`,
      { cause: error },
    );
  }
}
