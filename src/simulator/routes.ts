import { createHash, randomUUID } from "node:crypto";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { type Answer, outageAnswer, problem } from "./answers.ts";
import { answerEntries } from "./compliance-dnc.ts";
import type { Environment } from "./environment.ts";
import type { RequestRecord } from "./request-log.ts";

const TOKEN_PATH = "/oauth/token";
const ENTRIES_PATH = "/api/v2/compliance/dnc/entries";
const NOTHING = Buffer.alloc(0);

/** The exact bytes of a request body. */
export const bodyOf = ({ body }: FastifyRequest): Buffer => (Buffer.isBuffer(body) ? body : NOTHING);

const keyOf = (request: FastifyRequest): string | null => {
  const header = request.headers["idempotency-key"];
  return typeof header === "string" ? header : null;
};

const send = (
  reply: FastifyReply,
  answer: Answer,
  requestId: string,
  record: RequestRecord,
): FastifyReply => {
  // A client that went away while it waited never sees the answer, whatever was applied.
  if (answer === "cut" || reply.raw.destroyed) {
    record.status = 0;
    reply.hijack();
    reply.raw.destroy();
    return reply;
  }
  record.status = answer.status;
  reply.code(answer.status).header("content-type", "application/json").header("x-request-id", requestId);
  if (answer.retryAfter !== undefined) reply.header("retry-after", answer.retryAfter);
  return reply.send(answer.body);
};

const answerToken = async (environment: Environment, request: FastifyRequest): Promise<Answer> => {
  const { state, faults } = environment;
  const outage = outageAnswer(faults);
  if (outage !== undefined) return outage;
  await environment.latency.wait(faults);
  const later = environment.state === state ? outageAnswer(environment.faults) : "cut";
  if (later !== undefined) return later;
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.headers["content-type"] ?? "")) {
    return problem(400, "invalid_request", "the body must be application/x-www-form-urlencoded");
  }
  const form = new URLSearchParams(bodyOf(request).toString("utf8"));
  const { status, body } = state.tokens.issue(form, environment.faults.tokenTtlSeconds);
  return { status, body: JSON.stringify(body) };
};

/** The routes of one environment, in a scope whose prefix is its name. */
export const environmentRoutes = (
  scope: FastifyInstance,
  environment: Environment,
  clock: () => number,
): void => {
  const begin = (request: FastifyRequest): RequestRecord => {
    const record: RequestRecord = {
      at: new Date(clock()).toISOString(),
      kind: request.routeOptions.url?.endsWith(TOKEN_PATH) ? "token" : "entries",
      key: keyOf(request),
      sha256: null,
      status: null,
      entries: 0,
      replayed: false,
      applied: false,
    };
    environment.state.log.append(record);
    return record;
  };

  // An outage doesn't wait for the body.
  scope.addHook("onRequest", (request, reply, done) => {
    if (outageAnswer(environment.faults) === "cut") send(reply, "cut", "", begin(request));
    else done();
  });

  scope.setErrorHandler<FastifyError>((error, request, reply) => {
    const status = error.statusCode ?? 500;
    const answer =
      status < 500
        ? problem(status, status === 413 ? "payload_too_large" : "bad_request", error.message)
        : problem(500, "internal", "the simulator failed to answer");
    return send(reply, answer, randomUUID(), begin(request));
  });

  scope.post(TOKEN_PATH, async (request, reply) => {
    const record = begin(request);
    return send(reply, await answerToken(environment, request), randomUUID(), record);
  });

  scope.post(ENTRIES_PATH, async (request, reply) => {
    const record = begin(request);
    const body = bodyOf(request);
    const sha256 = createHash("sha256").update(body).digest("hex");
    record.sha256 = sha256;
    const { authorization, "content-type": contentType } = request.headers;
    const received = { authorization, contentType, key: record.key, sha256, body, requestId: randomUUID() };
    const { answer, requestId } = await answerEntries(environment, received, record);
    return send(reply, answer, requestId, record);
  });
};
