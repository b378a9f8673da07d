import {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
} from "fastify";
import type { Config } from "../config/schema.ts";
import { messageOf } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";
import { limitPipelining } from "../pipelining.ts";
import { requestLimits } from "../request-limits.ts";
import { type Reason, refusal, statusOf } from "./answers.ts";
import { createExchanges } from "./broken-requests.ts";
import { withoutPorts } from "./callers.ts";
import type { GatewayMetrics } from "./metrics.ts";

export const OPT_OUT = "/opt-out";
const METHOD_OF = new Map([
  [OPT_OUT, "POST"],
  ["/openapi.json", "GET"],
  ["/livez", "GET"],
  ["/readyz", "GET"],
  ["/metrics", "GET"],
]);

const MAX_BODY_BYTES = 16 * 1024;
/** More are closed at once: each holds memory, and a file descriptor. */
const MAX_CONNECTIONS = 4_096;

export interface AppOptions {
  config: Pick<Config, "gateway">;
  logger: Logger;
  metrics: GatewayMetrics;
  /** Milliseconds for a whole request to arrive; its headers have half of it. */
  requestTimeout: number;
}

/** Refuses a request: counts the reason, if it is one to /opt-out, and answers. */
export type Refuse = (reply: FastifyReply, reason: Reason, detail: string) => FastifyReply;

/** The HTTP server, without routes: limits, headers of all answers, and what is answered to what can't be read. */
export function createApp(options: AppOptions): { app: FastifyInstance; refuse: Refuse } {
  const { config, logger, metrics, requestTimeout } = options;
  const refuse: Refuse = (reply, reason, detail) => {
    if (pathOf(reply.request) === OPT_OUT) metrics.rejected.inc({ reason });
    return reply.code(statusOf(reason)).send(refusal(reason, detail));
  };
  const { trustedProxies } = config.gateway;
  const exchanges = createExchanges(metrics);
  const app = fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    ...requestLimits(requestTimeout),
    trustProxy: trustedProxies.length > 0 && trustedProxies,
    exposeHeadRoutes: false,
    forceCloseConnections: "idle",
    // What still comes in on an open connection while the gateway stops is an opt-out like any other.
    return503OnClosing: false,
    frameworkErrors: (_error, _request, reply) => {
      // Its message quotes the URL.
      void refuse(commonHeaders(reply), "bad_request", "the URL can't be read");
    },
    clientErrorHandler: (error, socket) => exchanges.answerBroken(error, socket),
  });
  limitPipelining(app);
  app.server.on("request", (_request, response) => exchanges.add(response));
  app.server.maxConnections = MAX_CONNECTIONS;
  app.server.on("drop", () => metrics.droppedConnections.inc());
  observe(app, metrics);
  app.addHook("onRequest", async (request, reply) => {
    commonHeaders(reply);
    const { "x-forwarded-for": forwarded } = request.raw.headers;
    if (typeof forwarded === "string") request.raw.headers["x-forwarded-for"] = withoutPorts(forwarded);
    // Before the body is read.
    if (request.is404) return answerUnknown(request, reply, refuse);
  });
  readBodies(app);
  answerErrors(app, refuse, logger);
  return { app, refuse };
}

const pathOf = (request: FastifyRequest): string =>
  request.routeOptions.url ?? request.url.split("?", 1)[0] ?? "";

const commonHeaders = (reply: FastifyReply): FastifyReply =>
  reply.headers({ "cache-control": "no-store", "x-content-type-options": "nosniff" });

function answerUnknown(request: FastifyRequest, reply: FastifyReply, refuse: Refuse): FastifyReply {
  const method = METHOD_OF.get(pathOf(request));
  if (method !== undefined) {
    return refuse(reply.header("allow", method), "method_not_allowed", `use ${method}`);
  }
  return refuse(reply, "not_found", "see POST /opt-out, /openapi.json, /livez, /readyz and /metrics");
}

/** A caller may be gone before its answer, and then Fastify says nothing; the connection's end always comes. */
function observe(app: FastifyInstance, metrics: GatewayMetrics): void {
  app.addHook("onRequest", async (request, reply) => {
    if (pathOf(request) !== OPT_OUT) return;
    const stop = metrics.requestSeconds.startTimer();
    metrics.inFlight.inc();
    reply.raw.once("close", () => {
      stop();
      metrics.inFlight.dec();
      metrics.requests.inc({ status: reply.raw.writableFinished ? String(reply.statusCode) : "aborted" });
    });
  });
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

const ERRORS: Record<number, [reason: Reason, detail: string]> = {
  413: ["too_large", `the body is larger than ${MAX_BODY_BYTES} bytes`],
  415: ["unsupported_media_type", "send application/json or application/x-www-form-urlencoded"],
};

function answerErrors(app: FastifyInstance, refuse: Refuse, logger: Logger): void {
  app.setErrorHandler(async (error: FastifyError, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) {
      logger.error({ error: messageOf(error) }, "the gateway failed to answer a request");
      return refuse(reply, "internal", "the gateway failed; try again");
    }
    const [reason, detail] = ERRORS[status] ?? ["bad_request", "the request can't be read"];
    return refuse(reply, reason, detail);
  });
}
