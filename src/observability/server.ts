import { type FastifyInstance, type FastifyReply, fastify } from "fastify";
import type { Config } from "../config/schema.ts";
import { addConsole } from "../console/routes.ts";
import { OptoutError, whyNotListening } from "../errors.ts";
import { limitPipelining } from "../pipelining.ts";
import { requestLimits } from "../request-limits.ts";
import { type Exposer, serveMetrics } from "./exposition.ts";
import { createOperatorCheck, type Refusal } from "./operators.ts";

/** `ok`, or why not. */
export type Health = { ok: true } | { ok: false; reason: string };

export interface ObservedProcess {
  live(): Health;
  ready(): Health;
  state(): object;
  metrics: { expose: Exposer };
  /** Names of the environments that can be paused. */
  environments: readonly string[];
  /** Stops or starts sending to an environment. False if there is none of that name. */
  setPaused(environment: string, paused: boolean): boolean;
}

export interface ObservabilityServer {
  /** `http://host:port`. */
  readonly url: string;
  close(): Promise<void>;
}

const REQUEST_TIMEOUT_MS = 10_000;
/** Far more than probes and scrapers need. More are closed at once: the descriptors are for Kafka and the environments. */
const MAX_CONNECTIONS = 256;

/**
 * `/metrics`, `/livez`, `/readyz`, `/state`, a page for people at `/`, and `POST /environments/{name}/pause` and `/resume`.
 * Loopback unless configured otherwise; port 0 takes any free one. Throws OptoutError `configuration` if it can't listen.
 */
export async function startObservabilityServer(
  observed: ObservedProcess,
  config: Config["server"],
): Promise<ObservabilityServer> {
  const { host, port, adminToken } = config;
  const app = fastify({
    logger: false,
    bodyLimit: 1024,
    ...requestLimits(REQUEST_TIMEOUT_MS),
    forceCloseConnections: true,
  });
  const refusalOf = createOperatorCheck(adminToken, () =>
    app.addresses().map((address) => (typeof address === "string" ? address : address.address)),
  );
  limitPipelining(app);
  app.server.maxConnections = MAX_CONNECTIONS;
  addViews(app, observed);
  app.get("/state", async ({ headers }, reply) =>
    reply
      .header("cache-control", "no-store")
      .send({ ...observed.state(), pausing: pausingFor(refusalOf(headers)) }),
  );
  addConsole(app);
  addPausing(app, observed, refusalOf);
  app.setNotFoundHandler(async (_request, reply) =>
    refuse(
      reply,
      404,
      "not_found",
      "see / in a browser, /metrics, /livez, /readyz and /state; POST /environments/{name}/pause and /resume",
    ),
  );
  try {
    return { url: await app.listen({ host, port }), close: () => app.close() };
  } catch (error) {
    await app.close();
    throw new OptoutError(
      "configuration",
      `Can't listen on ${host}:${port} (server.host, server.port): ${whyNotListening(error)}. Choose another address or port, or stop what has it.`,
      { cause: error },
    );
  }
}

const refuse = (reply: FastifyReply, status: number, error: string, message: string) =>
  reply.code(status).send({ error, message });

function addViews(app: FastifyInstance, observed: ObservedProcess): void {
  serveMetrics(app, observed.metrics.expose);
  for (const [path, check] of [
    ["/livez", observed.live],
    ["/readyz", observed.ready],
  ] as const) {
    app.get(path, async (_request, reply) => {
      const health = check();
      if (health.ok) return { status: "ok" };
      return reply.code(503).send({ status: "unavailable", reason: health.reason });
    });
  }
}

/** Whether who asks may pause environments: at once, with the token, or not, and why not. */
export type Pausing = { by: "anybody" } | { by: "token" } | { by: "nobody"; reason: string };

function pausingFor(refusal: Refusal | undefined): Pausing {
  if (refusal === undefined) return { by: "anybody" };
  return refusal.status === 401 ? { by: "token" } : { by: "nobody", reason: refusal.message };
}

function addPausing(
  app: FastifyInstance,
  observed: ObservedProcess,
  refusalOf: ReturnType<typeof createOperatorCheck>,
): void {
  // Whatever a caller's tool sends along, nothing is read from it.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, async () => undefined);

  for (const [action, paused] of [
    ["pause", true],
    ["resume", false],
  ] as const) {
    const url = `/environments/:name/${action}`;
    app.post<{ Params: { name: string } }>(url, {
      onRequest: async (request, reply) => {
        const refusal = refusalOf(request.headers);
        if (refusal === undefined) return;
        if (refusal.status === 403) return refuse(reply, 403, "forbidden", refusal.message);
        void reply.header("www-authenticate", 'Bearer realm="optout"');
        return refuse(reply, 401, "unauthorized", refusal.message);
      },
      handler: async ({ params: { name } }, reply) => {
        if (observed.setPaused(name, paused)) return { environment: name, paused };
        const known = observed.environments.join(", ");
        return refuse(
          reply,
          404,
          "unknown_environment",
          `there is no environment ${JSON.stringify(name)}; there are: ${known}`,
        );
      },
    });
    const method = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"];
    const notAllowed = async (_request: unknown, reply: FastifyReply) =>
      refuse(reply.header("allow", "POST"), 405, "method_not_allowed", "use POST");
    app.route({ method, url, exposeHeadRoute: false, onRequest: notAllowed, handler: notAllowed });
  }
}
