import { OptoutError } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { AnyEnvironment, Dialect, DialectDefinition } from "./dialects/dialect.ts";
import { dialects as builtIn } from "./dialects/index.ts";
import { createHttpClient } from "./http.ts";
import { createLane, type Lane, type LaneEvents } from "./lane.ts";
import { createTokenSource, MAX_TOKEN_REQUESTS, type TokenOutcome } from "./token-source.ts";

export interface EnvironmentOptions {
  config: AnyEnvironment;
  /** The credentials as they are now; by default those of `config`. */
  auth?: () => AnyEnvironment["auth"];
  /** What `config.dialect` may name; by default those there are. */
  dialects?: readonly DialectDefinition[] | undefined;
  events: LaneEvents & { onTokenRefresh(outcome: TokenOutcome): void };
  logger: Logger;
  maySend(): boolean;
}

/** One CXone tenant: its lane, and the sockets behind it. */
export interface Environment {
  lane: Lane;
  close(): Promise<void>;
}

export function createEnvironment(options: EnvironmentOptions): Environment {
  const { config, events, logger, maySend } = options;
  const dialect = createDialect(options);
  // More sockets than the requests need, so that a token is never waiting behind them.
  const connections = config.maxConcurrency + MAX_TOKEN_REQUESTS;
  const client = createHttpClient({ connections, timeout: config.requestTimeout });
  const closing = new AbortController();
  const now = () => performance.now();
  const tokens = createTokenSource({
    fetchToken: (signal) => dialect.requestToken(client.send, AbortSignal.any([closing.signal, signal])),
    onRefresh: events.onTokenRefresh,
    now,
  });
  const lane = createLane({
    name: config.name,
    requestsPerSecond: config.requestsPerSecond,
    maxConcurrency: config.maxConcurrency,
    retry: config.retry,
    dialect,
    send: client.send,
    tokens,
    events,
    logger,
    maySend,
    now,
    random: Math.random,
  });
  return {
    lane,
    async close() {
      lane.reset();
      closing.abort();
      await client.close();
    },
  };
}

/** How this environment's API is spoken. Throws an OptoutError for a dialect that isn't there. */
export function createDialect({
  config,
  auth = () => config.auth,
  dialects = builtIn,
}: Pick<EnvironmentOptions, "config" | "auth" | "dialects">): Dialect {
  const definition = dialects.find(({ name }) => name === config.dialect);
  if (definition === undefined) {
    const names = dialects.map(({ name }) => name).join(", ");
    const message = `The environment ${config.name} has the dialect "${config.dialect}", which is none of: ${names}.`;
    throw new OptoutError("configuration", message);
  }
  return definition.create({ environment: config, auth, now: Date.now });
}
