/** The package as a library: a relay within another program. All that is exported here is a promise; nothing else is. */
import { parseConfig } from "./config/load.ts";
import type { ConfigInput } from "./config/schema.ts";
import type { DialectDefinition, EnvironmentInputOf } from "./delivery/dialects/dialect.ts";
import { dialects as builtIn } from "./delivery/dialects/index.ts";
import { OptoutError } from "./errors.ts";
import { createLogger, type Logger } from "./observability/logger.ts";
import type { Health } from "./observability/server.ts";
import { createRelay as createEngine } from "./relay/relay.ts";
import { VERSION } from "./version.ts";

export { z } from "zod";
export type { Entry } from "./batching/batch.ts";
export type { Observation } from "./check/finding.ts";
export type {
  Answer,
  Dialect,
  DialectContext,
  DialectDefinition,
  DialectKeys,
  EntryOutcome,
  HttpRequest,
  HttpResponse,
  HttpSend,
  Submission,
  Token,
  TokenAnswer,
  Verdict,
} from "./delivery/dialects/dialect.ts";
export { type ErrorCode, OptoutError } from "./errors.ts";
export type { Logger } from "./observability/logger.ts";
export type { Health } from "./observability/server.ts";

/** The configuration as a file holds it, with environments of the built-in dialects and of `Definition`. */
export type RelayConfig<Definition extends DialectDefinition = never> = Omit<ConfigInput, "environments"> & {
  environments: readonly EnvironmentInputOf<(typeof builtIn)[number] | Definition>[];
};

export interface RelayOptions<Definition extends DialectDefinition = never> {
  /** Of it, `server` and `gateway` have no effect: the program around it serves what it likes. */
  config: RelayConfig<Definition>;
  /** What environments may speak besides `compliance-dnc` and `admin-dnc-groups`. */
  dialects?: readonly Definition[];
  /** For `${NAME}` in the configuration, and `OPTOUT_…` variables over it; by default none. */
  env?: Readonly<Record<string, string | undefined>>;
  /** By default one on standard output, as `config.logging` says. */
  logger?: Logger;
}

/** A relay that belongs to the program which made it. `await using` stops it. */
export interface Relay extends AsyncDisposable {
  /** Resolves once it is a member of the consumer group. Rejects with an OptoutError for what can't heal by itself. */
  start(): Promise<void>;
  /** Finishes what is under way, commits, leaves the group: half a minute at most. Once stopped, it can't be started again. */
  stop(): Promise<void>;
  /** Resolves, with the reason, if it can't go on: then stop it, and make another. Pending for ever if all is well. */
  readonly failed: Promise<OptoutError>;
  /** Whether only a new one would help. */
  live(): Health;
  /** Whether it consumes. An environment that is down doesn't make it unready. */
  ready(): Health;
  /** Names of the environments, as configured. */
  readonly environments: readonly string[];
  /** Stops or starts sending to an environment; its opt-outs wait meanwhile. False if there is none of that name. */
  setPaused(environment: string, paused: boolean): boolean;
  /** In Prometheus' text format. */
  metrics(): Promise<string>;
}

/**
 * A relay, not yet started.
 * @throws OptoutError `configuration`, one message with a line for every problem there is.
 */
export function createRelay<Definition extends DialectDefinition = never>(
  options: RelayOptions<Definition>,
): Relay {
  const { env = {}, dialects: own = [] } = options;
  const dialects: readonly DialectDefinition[] = [...builtIn, ...own];
  refuseRepeats(dialects.map(({ name }) => name));
  const config = parseConfig(options.config, { env, dialects });
  const logger = options.logger ?? createLogger(config.logging);
  const engine = createEngine(config, { logger, version: VERSION, dialects });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= engine.stop();
    return stopped;
  };
  return {
    start: engine.start,
    stop,
    failed: engine.failed,
    live: engine.live,
    ready: engine.ready,
    environments: engine.environments,
    setPaused: engine.setPaused,
    metrics: () => engine.metrics.registry.metrics(),
    [Symbol.asyncDispose]: stop,
  };
}

function refuseRepeats(names: readonly string[]): void {
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated === undefined) return;
  throw new OptoutError(
    "configuration",
    `There are two dialects called "${repeated}". Give yours another name.`,
  );
}
