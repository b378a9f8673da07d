import type { Logger } from "../observability/logger.ts";
import {
  CLOSED_MESSAGES,
  type ClosedReason,
  type Closure,
  createCircuit,
  type FailureReason,
} from "./circuit.ts";
import type { BackoffLimits } from "./retry.ts";

/** A lane's circuit on a real clock, which tells the log when it closes, for what reason, and when it opens again. */
export interface Gate {
  closure(): Closure | undefined;
  /** Milliseconds until a request may start; 0 if the lane is open or a probe is due. */
  wait(): number;
  /** A probe starts. The next one isn't due for `atLeast` milliseconds, unless this one ends before. */
  probing(atLeast: number): void;
  /** The last probe that started has ended, whatever came of it. */
  probeEnded(): void;
  /** Whether a request that was allowed to start, as a probe or not, may still be sent. */
  admits(isProbe: boolean): boolean;
  /** The environment answered about the entries. True if that reopened the lane. */
  succeeded(): boolean;
  failed(reason: FailureReason): void;
  close(reason: ClosedReason, why?: Why): void;
}

/** What closes a lane. */
export interface Why {
  /** Milliseconds that the environment asked to wait. */
  wait?: number | undefined;
  /** Of the answer. */
  httpStatus?: number | undefined;
  /** In words for the log. */
  detail?: string | undefined;
}

export interface GateOptions {
  environment: string;
  /** What the access token was asked for; named when access is refused. */
  scope: string | undefined;
  retry: BackoffLimits;
  logger: Logger;
  /** The lane's rate, as it is now. */
  requestsPerSecond(): number;
  /** Milliseconds, monotonic. */
  now(): number;
  random(): number;
}

/** The reasons that a wrong scope may be behind. */
const ACCESS_REFUSED = new Set<ClosedReason>(["credentials_refused", "unauthorized", "misconfigured"]);

export function createGate(options: GateOptions): Gate {
  const { environment, scope, logger, now } = options;
  const circuit = createCircuit(options);

  const announce = (before: Closure | undefined, { httpStatus, detail }: Why = {}): void => {
    const closure = circuit.closure();
    if (closure === undefined || closure.reason === before?.reason) return;
    const { reason } = closure;
    const details = {
      ...(httpStatus !== undefined && { httpStatus }),
      ...(detail !== undefined && { detail }),
      ...(scope !== undefined && ACCESS_REFUSED.has(reason) && { scope }),
    };
    logger.warn({ environment, reason, ...details }, CLOSED_MESSAGES[reason]);
  };

  return {
    closure: () => circuit.closure(),
    wait: () => circuit.wait(now()),
    probing: (atLeast) => circuit.probing(now(), atLeast),
    probeEnded: circuit.probeEnded,
    admits: (isProbe) => circuit.admits(isProbe, now()),
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
    close(reason, why = {}) {
      const before = circuit.closure();
      circuit.close(reason, now(), why.wait);
      announce(before, why);
    },
  };
}
