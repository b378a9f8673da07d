import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { messageOf, OptoutError } from "../errors.ts";
import { problem } from "./answers.ts";
import type { Environment } from "./environment.ts";
import { parseJson } from "./json.ts";
import { bodyOf } from "./routes.ts";

const ROWS_PER_CHUNK = 1000;

function* chunksOf(rows: readonly object[], ndjson: boolean): Generator<string> {
  if (!ndjson) yield "[";
  for (let start = 0; start < rows.length; start += ROWS_PER_CHUNK) {
    const lines = rows.slice(start, start + ROWS_PER_CHUNK).map((row) => JSON.stringify(row));
    if (ndjson) yield `${lines.join("\n")}\n`;
    else yield `${start === 0 ? "" : ","}${lines.join(",\n")}`;
  }
  if (!ndjson) yield "]\n";
}

/** A JSON array, or NDJSON if the client asks for `application/x-ndjson`; in pieces, for a million rows may come. */
const sendRows = (request: FastifyRequest, reply: FastifyReply, rows: readonly object[]): FastifyReply => {
  const ndjson = (request.headers.accept ?? "").includes("application/x-ndjson");
  reply.header("content-type", ndjson ? "application/x-ndjson" : "application/json");
  return reply.send(Readable.from(chunksOf(rows, ndjson)));
};

const sendProblem = (reply: FastifyReply, status: number, error: string, message: string): FastifyReply =>
  reply
    .code(status)
    .header("content-type", "application/json")
    .send(problem(status, error, message).body);

const parseBody = (request: FastifyRequest): unknown => {
  const body = parseJson(bodyOf(request));
  if (body === undefined) throw new OptoutError("usage", "the body is not JSON");
  return body;
};

export interface AdminOptions {
  environments: ReadonlyMap<string, Environment>;
  baseUrl: (name: string) => string;
}

/** `/_sim`: what tests, scripts and the curious use to look inside and to break things. */
export const adminRoutes = (app: FastifyInstance, { environments, baseUrl }: AdminOptions): void => {
  type WithEnvironment = (
    environment: Environment,
    request: FastifyRequest,
    reply: FastifyReply,
  ) => FastifyReply | Promise<FastifyReply>;

  const withEnvironment =
    (handle: WithEnvironment) =>
    async (request: FastifyRequest<{ Params: { environment: string } }>, reply: FastifyReply) => {
      const environment = environments.get(request.params.environment);
      if (environment !== undefined) return handle(environment, request, reply);
      const known = [...environments.keys()].join(", ");
      return sendProblem(
        reply,
        404,
        "unknown_environment",
        `there is no such environment; there is ${known}`,
      );
    };

  app.get("/_sim", () =>
    Array.from(environments.values(), ({ name, state, faults }) => ({
      name,
      baseUrl: baseUrl(name),
      entries: state.list.size,
      requests: state.log.size,
      violations: state.keys.violations().length,
      faults,
    })),
  );

  app.delete("/_sim", (_request, reply) => {
    for (const environment of environments.values()) environment.reset();
    return reply.code(204).send();
  });

  app.get(
    "/_sim/:environment/entries",
    withEnvironment(({ state }, request, reply) => sendRows(request, reply, state.list.all())),
  );
  app.get(
    "/_sim/:environment/requests",
    withEnvironment(({ state }, request, reply) => sendRows(request, reply, state.log.all())),
  );
  app.get(
    "/_sim/:environment/violations",
    withEnvironment(({ state }, _request, reply) => reply.send(state.keys.violations())),
  );
  app.get(
    "/_sim/:environment/faults",
    withEnvironment(({ faults }, _request, reply) => reply.send(faults)),
  );
  app.put(
    "/_sim/:environment/faults",
    withEnvironment((environment, request, reply) => {
      try {
        environment.setFaults(parseBody(request));
      } catch (error) {
        if (!(error instanceof OptoutError)) throw error;
        return sendProblem(reply, 400, "invalid_faults", messageOf(error));
      }
      return reply.send(environment.faults);
    }),
  );
};
