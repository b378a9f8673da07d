import { type FastifyError, type FastifyInstance, type FastifyReply, fastify } from "fastify";
import { Counter, collectDefaultMetrics, Registry } from "prom-client";
import type { Config } from "../config/schema.ts";
import { messageOf, OptoutError } from "../errors.ts";
import type { RecordProducer } from "../kafka/producer.ts";
import type { Logger } from "../observability/logger.ts";
import { createKeyCheck } from "./auth.ts";
import { createIntake } from "./intake.ts";
import { createReadiness } from "./readiness.ts";
import { createSender } from "./sender.ts";

const PATH = "/opt-out";
const MAX_BODY_BYTES = 16 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
/** Longer than any request may take. */
const CLOSE_DEADLINE_MS = 15_000;
const SEND_PATIENCE_MS = 5_000;
const MAX_IN_FLIGHT = 512;
const RETRY_AFTER_S = "5";

export interface GatewayOptions {
  config: Pick<Config, "gateway" | "kafka" | "topics" | "normalization">;
  producer: Pick<RecordProducer, "send">;
  logger: Logger;
  /** Rejects when Kafka can't take opt-outs now, with the reason; what `/readyz` says. */
  checkKafka(): Promise<void>;
  /** Milliseconds a caller waits for Kafka's acknowledgement; 5 s unless given. */
  patience?: number;
  /** Records under way at once; 512 unless given. */
  maxInFlight?: number;
}

export interface Gateway {
  /** `http://host:port`. */
  readonly url: string;
  /** Takes no new request, lets those under way finish. */
  close(): Promise<void>;
}

/**
 * The HTTP intake: `POST /opt-out` puts one opt-out on the events topic and answers 202 only once all in-sync replicas
 * have it. Also `/livez`, `/readyz` and `/metrics`. Port 0 takes any free one.
 * Rejects with an OptoutError `configuration` if it can't listen.
 */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, logger } = options;
  const app = fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: REQUEST_TIMEOUT_MS,
    exposeHeadRoutes: false,
    forceCloseConnections: "idle",
  });
  readBodies(app);
  answerErrors(app, logger);
  addOptOut(app, options);
  addOperations(app, options);
  const close = closer(app);
  const { host, port } = config.gateway;
  try {
    return { url: await app.listen({ host, port }), close };
  } catch (error) {
    await app.close();
    throw new OptoutError(
      "configuration",
      `The gateway can't listen on ${host}:${port}: ${messageOf(error)}. Change gateway.host or gateway.port.`,
      { cause: error },
    );
  }
}

/**
 * Closes idle connections at once and the others after their answer: kept alive, they would hold the process for as long
 * as their callers like. Whoever is still there at the deadline is cut off.
 */
function closer(app: FastifyInstance): () => Promise<void> {
  let closing = false;
  app.addHook("onSend", async (_request, reply) => {
    if (closing) void reply.header("connection", "close");
  });
  return async () => {
    closing = true;
    const deadline = setTimeout(() => app.server.closeAllConnections(), CLOSE_DEADLINE_MS);
    try {
      await app.close();
    } finally {
      clearTimeout(deadline);
    }
  };
}

/** Bodies stay bytes or form fields: one reader, the relay's, decides what they mean. */
function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    "application/json",
    { parseAs: "buffer" },
    async (_request: unknown, body: Buffer) => body,
  );
  app.addContentTypeParser(
    "application/x-www-form-urlencoded",
    { parseAs: "string" },
    async (_request: unknown, body: string) => new URLSearchParams(body),
  );
}

function answerErrors(app: FastifyInstance, logger: Logger): void {
  const known: Record<number, [reason: string, detail: string]> = {
    413: ["too_large", `the body is larger than ${MAX_BODY_BYTES} bytes`],
    415: ["unsupported_media_type", "send application/json or application/x-www-form-urlencoded"],
  };
  app.setErrorHandler(async (error: FastifyError, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) {
      logger.error({ error: messageOf(error) }, "the gateway failed to answer a request");
      return refuse(reply, 500, "internal", "the gateway failed; try again");
    }
    const [reason, detail] = known[status] ?? ["bad_request", "the request can't be read"];
    return refuse(reply, status, reason, detail);
  });
  app.setNotFoundHandler(async (_request, reply) =>
    refuse(reply, 404, "not_found", "see POST /opt-out, /livez, /readyz and /metrics"),
  );
}

const refuse = (reply: FastifyReply, status: number, reason: string, detail: string) =>
  reply.code(status).send({ status: status === 400 ? "rejected" : "error", reason, detail });

function addOptOut(app: FastifyInstance, options: GatewayOptions): void {
  const { config, producer, logger, patience = SEND_PATIENCE_MS, maxInFlight = MAX_IN_FLIGHT } = options;
  const mayPass = createKeyCheck(config.gateway.apiKeys);
  const intake = createIntake(config.normalization);
  const topic = config.topics.events;
  const send = createSender({
    producer,
    topic,
    brokers: config.kafka.brokers,
    logger,
    patience,
    maxInFlight,
  });

  app.post(PATH, {
    // Before the body is read: a stranger's bytes are not worth it.
    onRequest: async (request, reply) => {
      if (mayPass(request.headers)) return;
      void reply.header("www-authenticate", 'Bearer realm="optout"');
      return refuse(reply, 401, "unauthorized", "give a valid key in X-API-Key or as a bearer token");
    },
    handler: async (request, reply) => {
      const body =
        request.body instanceof URLSearchParams || Buffer.isBuffer(request.body)
          ? request.body
          : Buffer.alloc(0);
      const key = request.headers["idempotency-key"];
      const taken = intake({ body, idempotencyKey: typeof key === "string" ? key : undefined });
      if (!taken.ok) return refuse(reply, 400, taken.reason, taken.detail);
      if (await send(taken.message)) {
        return reply.code(202).send({ status: "queued", phone: taken.phone, eventId: taken.eventId });
      }
      void reply.header("retry-after", RETRY_AFTER_S);
      return refuse(
        reply,
        503,
        "kafka_unavailable",
        "Kafka has not confirmed it; repeat the request, twice does no harm",
      );
    },
  });
  const method = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"];
  const notAllowed = async (_request: unknown, reply: FastifyReply) =>
    refuse(reply.header("allow", "POST"), 405, "method_not_allowed", "use POST");
  app.route({ method, url: PATH, onRequest: notAllowed, handler: notAllowed });
}

function addOperations(app: FastifyInstance, { checkKafka }: GatewayOptions): void {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const requests = new Counter({
    name: "optout_gateway_requests_total",
    help: "Requests to /opt-out by the status they were answered with.",
    labelNames: ["status"],
    registers: [registry],
  });
  app.addHook("onResponse", async (request, reply) => {
    if (request.routeOptions.url === PATH) requests.inc({ status: String(reply.statusCode) });
  });
  app.get("/metrics", async (_request, reply) =>
    reply.header("content-type", registry.contentType).send(await registry.metrics()),
  );
  app.get("/livez", async () => ({ status: "ok" }));
  const readiness = createReadiness(checkKafka);
  app.get("/readyz", async (_request, reply) => {
    const reason = await readiness();
    return reason === undefined ? { status: "ok" } : reply.code(503).send({ status: "unavailable", reason });
  });
}
