import type { FastifyInstance } from "fastify";
import type { Config } from "../config/schema.ts";
import { OptoutError, whyNotListening } from "../errors.ts";
import type { RecordProducer } from "../kafka/producer.ts";
import { serveMetrics } from "../observability/exposition.ts";
import type { Logger } from "../observability/logger.ts";
import { readPackageFile } from "../package-files.ts";
import { createKeyring } from "./auth.ts";
import { createCallerLimits } from "./callers.ts";
import { createApp } from "./http.ts";
import { createGatewayMetrics, type GatewayMetrics } from "./metrics.ts";
import { addOptOut } from "./opt-out.ts";
import { createReadiness } from "./readiness.ts";
import { createRepeats } from "./repeats.ts";
import { createSender } from "./sender.ts";

const REQUEST_TIMEOUT_MS = 10_000;
/** Longer than any request may take. */
export const CLOSE_DEADLINE_MS = 15_000;
const SEND_PATIENCE_MS = 5_000;
const MAX_IN_FLIGHT = 512;

export interface GatewayOptions {
  config: Pick<Config, "gateway" | "kafka" | "topics" | "normalization">;
  producer: Pick<RecordProducer, "send">;
  logger: Logger;
  /** Rejects when Kafka can't take opt-outs now, with the reason; what `/readyz` says. */
  checkKafka(): Promise<void>;
  /** `gateway.apiKeys`, where they may change; those of `config` unless given. */
  apiKeys?: () => readonly string[];
  /** Milliseconds a caller waits for Kafka's acknowledgement; 5 s unless given. */
  patience?: number;
  /** Milliseconds for a request to arrive; 10 s unless given. */
  requestTimeout?: number;
  /** Records under way at once; 512 unless given. */
  maxInFlight?: number;
  /** Milliseconds on a clock that never goes back. */
  now?: () => number;
}

export interface Gateway {
  /** `http://host:port`. */
  readonly url: string;
  /** Takes no new connection, lets the requests under way finish. */
  close(): Promise<void>;
}

/**
 * The HTTP intake: `POST /opt-out` puts one opt-out on the events topic and answers 202 only once all in-sync replicas
 * have it. Also `/openapi.json`, `/livez`, `/readyz` and `/metrics`. Port 0 takes any free one.
 * Rejects with an OptoutError `configuration` if it can't listen.
 */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, logger, producer, requestTimeout = REQUEST_TIMEOUT_MS } = options;
  const { patience = SEND_PATIENCE_MS, maxInFlight = MAX_IN_FLIGHT } = options;
  const { now = () => performance.now(), apiKeys = () => config.gateway.apiKeys } = options;
  const readiness = createReadiness(options.checkKafka, logger, now);
  const metrics = createGatewayMetrics(async () => (await readiness()) === undefined);
  const { app, refuse } = createApp({ config, logger, metrics, requestTimeout });
  const topic = config.topics.events;
  addOptOut(app, {
    config,
    metrics,
    refuse,
    keys: createKeyring(apiKeys, now),
    limits: createCallerLimits(config.gateway.requestsPerSecond, now),
    repeats: createRepeats(now),
    sender: createSender({
      producer,
      topic,
      brokers: config.kafka.brokers,
      logger,
      metrics,
      patience,
      maxInFlight,
    }),
  });
  const close = closer(app);
  addOperations(app, { metrics, readiness });
  const { host, port } = config.gateway;
  try {
    return { url: await app.listen({ host, port }), close };
  } catch (error) {
    await app.close();
    throw new OptoutError(
      "configuration",
      `The gateway can't listen on ${host}:${port}: ${whyNotListening(error)}. Change gateway.host or gateway.port.`,
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

interface Operations {
  metrics: GatewayMetrics;
  readiness: () => Promise<string | undefined>;
}

function addOperations(app: FastifyInstance, { metrics: { expose }, readiness }: Operations): void {
  const description = readPackageFile("schemas/gateway.openapi.json");
  app.get("/openapi.json", async (_request, reply) =>
    reply.header("content-type", "application/json; charset=utf-8").send(description),
  );
  serveMetrics(app, expose);
  app.get("/livez", async () => ({ status: "ok" }));
  app.get("/readyz", async (_request, reply) => {
    const reason = await readiness();
    return reason === undefined ? { status: "ok" } : reply.code(503).send({ status: "unavailable", reason });
  });
}
