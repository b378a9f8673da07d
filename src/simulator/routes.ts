import { createHash, randomUUID } from "node:crypto";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { adminDncGroups } from "./admin-dnc-groups.ts";
import { type Answer, json, outageAnswer, problem } from "./answers.ts";
import { complianceDnc } from "./compliance-dnc.ts";
import type { EntriesRequest, LookUp, SimulatedDialect } from "./dialect.ts";
import type { Environment } from "./environment.ts";
import type { GrantReader } from "./grants.ts";
import { delay } from "./refusal.ts";
import type { RequestKind, RequestRecord } from "./request-log.ts";

const DIALECTS: readonly SimulatedDialect[] = [complianceDnc, adminDncGroups];
const NOTHING = Buffer.alloc(0);

/** The exact bytes of a request body. */
export const bodyOf = ({ body }: FastifyRequest): Buffer => (Buffer.isBuffer(body) ? body : NOTHING);

type WithParams = FastifyRequest<{ Params: Record<string, string> }>;

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

/** The answer, unless an outage comes before or during the latency. */
const answerLate = async (environment: Environment, answer: () => Answer): Promise<Answer> => {
  const { state, faults } = environment;
  return outageAnswer(faults) ?? (await delay(environment, state)) ?? answer();
};

const answerToken = (environment: Environment, request: FastifyRequest, read: GrantReader): Promise<Answer> =>
  answerLate(environment, () => {
    const { authorization, "content-type": contentType } = request.headers;
    const { state, faults, credentials } = environment;
    const grant = read({ authorization, contentType, body: bodyOf(request) }, credentials);
    return grant.ok
      ? json(state.tokens.issue(grant.scopes, faults.tokenTtlSeconds))
      : problem(grant.status, grant.error, grant.message);
  });

const traceparentOf = ({ headers: { traceparent } }: FastifyRequest): string | null =>
  typeof traceparent === "string" ? traceparent : null;

const entriesRequestOf = (request: WithParams): EntriesRequest => {
  const { authorization, "content-type": contentType } = request.headers;
  const body = bodyOf(request);
  const sha256 = createHash("sha256").update(body).digest("hex");
  const requestId = randomUUID();
  return { authorization, contentType, key: keyOf(request), sha256, body, requestId, params: request.params };
};

const lookUpOf = (request: WithParams, prefix: string): LookUp => ({
  baseUrl: `${request.protocol}://${request.host}${prefix}`,
  authorization: request.headers.authorization,
  params: request.params,
  query: new URL(request.url, "http://unused").searchParams,
});

/** The routes of one environment, in a scope whose prefix is its name. */
export const environmentRoutes = (
  scope: FastifyInstance,
  environment: Environment,
  clock: () => number,
): void => {
  const kinds = new Map<string | undefined, RequestKind>();
  const pathOf = (request: FastifyRequest): string =>
    (request.url.split("?", 1)[0] ?? "").slice(scope.prefix.length);

  const begin = (request: FastifyRequest): RequestRecord => {
    const record: RequestRecord = {
      at: new Date(clock()).toISOString(),
      kind: kinds.get(request.routeOptions.url) ?? "other",
      path: pathOf(request),
      key: keyOf(request),
      traceparent: traceparentOf(request),
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

  for (const { tokens, entries, lookUps } of DIALECTS) {
    for (const { path, grant } of tokens) {
      kinds.set(`${scope.prefix}${path}`, "token");
      scope.post(path, async (request, reply) => {
        const record = begin(request);
        return send(reply, await answerToken(environment, request, grant), randomUUID(), record);
      });
    }

    kinds.set(`${scope.prefix}${entries.path}`, "entries");
    scope.post(entries.path, async (request: WithParams, reply) => {
      const record = begin(request);
      const received = entriesRequestOf(request);
      record.sha256 = received.sha256;
      const { answer, requestId } = await entries.answer(environment, received, record);
      return send(reply, answer, requestId, record);
    });

    for (const { method, path, answer } of lookUps) {
      scope.route({
        method,
        url: path,
        handler: async (request: WithParams, reply) => {
          const record = begin(request);
          const lookUp = lookUpOf(request, scope.prefix);
          const answered = await answerLate(environment, () => answer(environment, lookUp));
          return send(reply, answered, randomUUID(), record);
        },
      });
    }
  }
};
