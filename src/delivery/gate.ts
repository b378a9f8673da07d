import type { Logger } from "../observability/logger.ts";
import { CLOSED_MESSAGES, type ClosedReason, type Closure, createCircuit } from "./circuit.ts";
import type { BackoffLimits } from "./retry.ts";

/** A lane's circuit on a real clock, which tells the log when it closes, for what reason, and when it opens again. */
export interface Gate {
  allowed(): number;
  closure(): Closure | undefined;
  /** The environment answered about the entries. True if that reopened the lane. */
  succeeded(): boolean;
  failed(reason: "unavailable" | "short_answers"): void;
  /** `wait` in milliseconds: what the environment asked for. `httpStatus`: the answer that closes the lane. */
  close(reason: ClosedReason, why?: { wait?: number; httpStatus?: number }): void;
}

export interface GateOptions {
  environment: string;
  /** What the access token was asked for; named when access is refused. */
  scope: string | undefined;
  maxConcurrency: number;
  retry: BackoffLimits;
  logger: Logger;
  /** Milliseconds, monotonic. */
  now(): number;
  random(): number;
}

/** The reasons that a wrong scope may be behind. */
const ACCESS_REFUSED = new Set<ClosedReason>(["credentials_refused", "unauthorized", "misconfigured"]);

export function createGate(options: GateOptions): Gate {
  const { environment, scope, logger, now } = options;
  const circuit = createCircuit(options.retry, options.random);

  const announce = (before: Closure | undefined, httpStatus?: number): void => {
    const closure = circuit.closure();
    if (closure === undefined || closure.reason === before?.reason) return;
    const { reason } = closure;
    const details = {
      ...(httpStatus !== undefined && { httpStatus }),
      ...(scope !== undefined && ACCESS_REFUSED.has(reason) && { scope }),
    };
    logger.warn({ environment, reason, ...details }, CLOSED_MESSAGES[reason]);
  };

  return {
    allowed: () => circuit.allowed(options.maxConcurrency, now()),
    closure: () => circuit.closure(),
    succeeded() {
      const reopened = circuit.succeeded(now());
      if (reopened) logger.info({ environment }, "lane open again");
      return reopened;
    },
    failed(reason) {
      const before = circuit.closure();
      circuit.failed(reason, now());
      announce(before);
    },
    close(reason, { wait, httpStatus } = {}) {
      const before = circuit.closure();
      circuit.close(reason, now(), wait);
      announce(before, httpStatus);
    },
  };
}
