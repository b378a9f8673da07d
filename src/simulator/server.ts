import { type FastifyError, type FastifyInstance, fastify } from "fastify";
import { OptoutError, whyNotListening } from "../errors.ts";
import { limitPipelining } from "../pipelining.ts";
import { requestLimits } from "../request-limits.ts";
import { adminRoutes } from "./admin.ts";
import { problem } from "./answers.ts";
import {
  createEnvironment,
  type Environment,
  type EnvironmentContext,
  type EnvironmentOptions,
} from "./environment.ts";
import type { Faults, FaultsInput } from "./faults.ts";
import type { ListEntry } from "./list.ts";
import type { RequestRecord } from "./request-log.ts";
import { environmentRoutes } from "./routes.ts";

const BODY_LIMIT = 2 * 1024 * 1024;
const REQUEST_TIMEOUT_MS = 20_000;

export interface SimulatorOptions {
  /** A name alone stands for an environment with all defaults. */
  environments: readonly (string | EnvironmentOptions)[];
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: any that is free. */
  port?: number;
  /** Milliseconds since the epoch, for tokens, quotas and times; latency takes real time. */
  clock?: () => number;
  /** For the faults that come by chance: 0 up to, not including, 1. */
  random?: () => number;
  /** How many requests and how many idempotency keys each environment remembers. Default 1,000,000. */
  memoryLimit?: number;
}

/** A local CXone. All that takes a `name` throws an `OptoutError` for an environment that isn't there. */
export interface Simulator {
  readonly url: string;
  baseUrl(name: string): string;
  entries(name: string): ListEntry[];
  /** Oldest first. */
  requests(name: string): RequestRecord[];
  /** Idempotency keys ever seen with two different bodies. */
  violations(name: string): string[];
  faults(name: string): Faults;
  /** Replaces the whole set: what is left out is back at its default. */
  setFaults(name: string, faults: FaultsInput): void;
  /** Makes the tokens issued so far unknown. */
  revokeTokens(name: string): void;
  /** Forgets lists, logs, keys, tokens and faults of all environments. */
  reset(): void;
  /** Cuts what is in progress. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const createEnvironments = (
  options: SimulatorOptions,
  context: EnvironmentContext,
): Map<string, Environment> => {
  const environments = new Map<string, Environment>();
  for (const given of options.environments) {
    const settings = typeof given === "string" ? { name: given } : given;
    const { name } = settings;
    if (!/^[a-z0-9][a-z0-9._-]{0,62}$/i.test(name)) {
      throw new OptoutError(
        "usage",
        `"${name}" can't name a simulated environment: it becomes a path, so use letters, digits, ".", "_" and "-"`,
      );
    }
    if (environments.has(name)) {
      throw new OptoutError("usage", `the simulated environment ${name} is named twice; name each once`);
    }
    environments.set(name, createEnvironment(settings, context));
  }
  if (environments.size === 0) throw new OptoutError("usage", "name at least one environment to simulate");
  return environments;
};

const createApp = (): FastifyInstance => {
  const app = fastify({
    bodyLimit: BODY_LIMIT,
    ...requestLimits(REQUEST_TIMEOUT_MS),
    // A simulated environment may be silent for longer.
    connectionTimeout: 0,
    keepAliveTimeout: 60_000,
    forceCloseConnections: true,
  });
  limitPipelining(app);
  // Bodies stay bytes: their exact form is what idempotency keys vouch for.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  app.setNotFoundHandler((_request, reply) =>
    reply
      .code(404)
      .header("content-type", "application/json")
      .send(problem(404, "not_found", "no such route").body),
  );
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const status = error.statusCode ?? 500;
    const { body } =
      status < 500
        ? problem(status, "bad_request", error.message)
        : problem(500, "internal", "the simulator failed to answer");
    return reply.code(status).header("content-type", "application/json").send(body);
  });
  return app;
};

const listen = async (app: FastifyInstance, host: string, port: number): Promise<void> => {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const message = `the simulator can't listen on port ${port} on ${host}: ${whyNotListening(cause)}; choose another port (0 takes any that is free) or host, or stop what has it`;
    throw new OptoutError("local_stack", message, { cause });
  }
};

const urlOf = (app: FastifyInstance, host: string): string => {
  const address = app.server.address();
  if (address === null || typeof address === "string")
    throw new OptoutError("internal", "the simulator has no port");
  // An address that stands for all of them is none to connect to.
  const reachable = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${address.port}`;
};

/** Starts a simulator; an `OptoutError` says why it can't, and what to do. */
export const createSimulator = async (options: SimulatorOptions): Promise<Simulator> => {
  const {
    host = "127.0.0.1",
    port = 0,
    clock = Date.now,
    random = Math.random,
    memoryLimit = 1_000_000,
  } = options;
  const environments = createEnvironments(options, { clock, random, memoryLimit });
  const find = (name: string): Environment => {
    const environment = environments.get(name);
    if (environment !== undefined) return environment;
    const known = [...environments.keys()].join(", ");
    throw new OptoutError("usage", `the simulator has no environment "${name}"; it has ${known}`);
  };

  const app = createApp();
  for (const environment of environments.values()) {
    app.register(async (scope) => environmentRoutes(scope, environment, clock), {
      prefix: `/${environment.name}`,
    });
  }
  let url = "";
  const baseUrl = (name: string): string => `${url}/${find(name).name}`;
  adminRoutes(app, { environments, baseUrl });
  await listen(app, host, port);
  url = urlOf(app, host);

  const close = async (): Promise<void> => {
    // What waits must not keep the process alive.
    const closed = app.close();
    for (const environment of environments.values()) environment.latency.flush();
    await closed;
  };
  return {
    url,
    baseUrl,
    entries: (name) => find(name).state.list.all(),
    requests: (name) => find(name).state.log.all(),
    violations: (name) => find(name).state.keys.violations(),
    faults: (name) => find(name).faults,
    setFaults: (name, faults) => find(name).setFaults(faults),
    revokeTokens: (name) => find(name).state.tokens.revokeAll(),
    reset: () => {
      for (const environment of environments.values()) environment.reset();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
};
