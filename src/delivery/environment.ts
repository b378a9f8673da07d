import type { Config } from "../config/schema.ts";
import type { Logger } from "../observability/logger.ts";
import { createComplianceDnc } from "./dialects/compliance-dnc.ts";
import type { Dialect } from "./dialects/dialect.ts";
import { createHttpClient } from "./http.ts";
import { createLane, type Lane, type LaneEvents } from "./lane.ts";
import { createTokenSource, type TokenOutcome } from "./token-source.ts";

export type EnvironmentConfig = Config["environments"][number];

/** One line here is all that a further dialect takes outside its own file. */
const DIALECTS: Record<EnvironmentConfig["dialect"], (baseUrl: string) => Dialect> = {
  "compliance-dnc": createComplianceDnc,
};

export interface EnvironmentOptions {
  config: EnvironmentConfig;
  events: LaneEvents & { onTokenRefresh(outcome: TokenOutcome): void };
  logger: Logger;
  maySend(): boolean;
}

/** One CXone tenant: its lane, and the sockets behind it. */
export interface Environment {
  lane: Lane;
  close(): Promise<void>;
}

export function createEnvironment({ config, events, logger, maySend }: EnvironmentOptions): Environment {
  const dialect = DIALECTS[config.dialect](config.baseUrl);
  // One socket more than the requests, so that a token is never waiting behind them.
  const client = createHttpClient({ connections: config.maxConcurrency + 1, timeout: config.requestTimeout });
  const closing = new AbortController();
  const now = () => performance.now();
  const tokens = createTokenSource({
    fetchToken: () => dialect.requestToken(client.send, config.auth, closing.signal),
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
    scope: config.auth.scope,
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
