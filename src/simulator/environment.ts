import { type Faults, type FaultsInput, parseFaults } from "./faults.ts";
import type { Credentials } from "./grants.ts";
import { createKeyMemory, type KeyMemory } from "./idempotency.ts";
import { createLatency, type Latency } from "./latency.ts";
import { createList, type DoNotCallList } from "./list.ts";
import { createQuota, type Quota } from "./quota.ts";
import { createRequestLog, type RequestLog } from "./request-log.ts";
import { createTokens, type Tokens } from "./tokens.ts";

export interface EnvironmentOptions extends Credentials {
  /** Its path segment and its name in the relay's configuration. */
  name: string;
  /** Quota when no fault sets another. Default 100. */
  requestsPerSecond?: number;
  /** Lifetime of tokens when no fault sets another. Default 3600. */
  tokenTtlSeconds?: number;
}

/** All that a reset throws away. A request keeps the state it came in with, and so can tell that a reset passed it. */
export interface EnvironmentState {
  readonly list: DoNotCallList;
  readonly log: RequestLog;
  readonly keys: KeyMemory;
  readonly tokens: Tokens;
  readonly quota: Quota;
}

export interface Environment {
  readonly name: string;
  readonly state: EnvironmentState;
  readonly credentials: Credentials;
  readonly faults: Faults;
  /** `faults.rejectPhones`, to look them up. */
  readonly rejectedPhones: ReadonlySet<string>;
  readonly latency: Latency;
  /** Chance, for the faults that have a probability. */
  readonly random: () => number;
  /**
   * Replaces the whole set; an `OptoutError` says what is wrong with the new one.
   * Requests that wait under the old set's latency go on at once, under the new set.
   */
  setFaults(input: unknown): void;
  /** Requests in progress are cut: their answer would speak of a list that is gone. */
  reset(): void;
}

export interface EnvironmentContext {
  /** Milliseconds since the epoch. */
  clock: () => number;
  /** From 0 up to, not including, 1. */
  random: () => number;
  /** Requests and idempotency keys remembered. */
  memoryLimit: number;
}

export const createEnvironment = (options: EnvironmentOptions, context: EnvironmentContext): Environment => {
  const { clock, random, memoryLimit } = context;
  const { name, requestsPerSecond = 100, tokenTtlSeconds = 3600, ...credentials } = options;
  const none: FaultsInput = {};
  const parse = (input: unknown): Faults => parseFaults(input, { requestsPerSecond, tokenTtlSeconds });
  const fresh = (): EnvironmentState => ({
    list: createList(clock),
    log: createRequestLog(memoryLimit),
    keys: createKeyMemory(memoryLimit),
    tokens: createTokens(clock),
    quota: createQuota(clock),
  });
  const latency = createLatency(random);
  let state = fresh();
  let faults = parse(none);
  let rejectedPhones: ReadonlySet<string> = new Set();

  const setFaults = (input: unknown): void => {
    faults = parse(input);
    rejectedPhones = new Set(faults.rejectPhones);
    latency.flush();
  };

  return {
    name,
    credentials,
    get state() {
      return state;
    },
    get faults() {
      return faults;
    },
    get rejectedPhones() {
      return rejectedPhones;
    },
    latency,
    random,
    setFaults,
    reset() {
      state = fresh();
      setFaults(none);
    },
  };
};
