import { type BackoffLimits, backoff } from "./retry.ts";

/** Why a lane is closed. */
export type ClosedReason =
  | "unavailable"
  | "short_answers"
  | "retry_after"
  | "token_unavailable"
  | "credentials_refused"
  | "unauthorized"
  | "misconfigured";

export interface Closure {
  reason: ClosedReason;
  /** Milliseconds of the given clock: when the lane was last open, and when it will be probed. */
  since: number;
  until: number;
}

/** Single failures are a batch's own affair; this many in a row, with no success between, close the lane. */
const FAILURES_TO_CLOSE = 5;

/**
 * A lane's circuit. Pure: clock and randomness are arguments.
 *
 *   open ── failures in a row, Retry-After, 401/403 … ──► closed ── `until` passes ──► probing (one request)
 *     ▲                                                   │  ▲                          │   │
 *     │                                                   │  └─ failure: for longer ────┘   │
 *     └──────────────── any answer about entries ─────────┴─────────────────────────────────┘
 *
 * An answer to a request that was under way when the environment asked to wait doesn't reopen the lane: it would be asked
 * again before the time it named.
 */
export interface Circuit {
  /** How many requests may be in flight now, of `concurrency` at most. */
  allowed(concurrency: number, now: number): number;
  closure(): Closure | undefined;
  /** The environment answered about the entries. True if that reopened the lane. */
  succeeded(now: number): boolean;
  /** One attempt failed in a way that time may heal. */
  failed(reason: "unavailable" | "short_answers", now: number): void;
  /** Closes at once: for `wait` milliseconds if given, else by backoff. */
  close(reason: ClosedReason, now: number, wait?: number): void;
}

export function createCircuit(limits: BackoffLimits, random: () => number): Circuit {
  let closure: Closure | undefined;
  let failuresInARow = 0;
  /** Closings since the lane was last open; a lane that is closed already isn't closed again by stragglers. */
  let closings = 0;
  /** What the environment itself asked for: nobody may try before. */
  let heldUntil = Number.NEGATIVE_INFINITY;

  const close = (reason: ClosedReason, now: number, wait?: number): void => {
    const isWaiting = closure !== undefined && now < closure.until;
    if (isWaiting && wait === undefined) return;
    if (!isWaiting) closings++;
    if (wait !== undefined) heldUntil = Math.max(heldUntil, now + wait);
    const until = now + (wait ?? backoff(closings, limits, random));
    closure = { reason, since: closure?.since ?? now, until: Math.max(until, closure?.until ?? 0) };
  };

  return {
    allowed(concurrency, now) {
      if (closure === undefined) return concurrency;
      return now < closure.until ? 0 : 1;
    },
    closure: () => closure,
    succeeded(now) {
      failuresInARow = 0;
      if (now < heldUntil) return false;
      closings = 0;
      const wasClosed = closure !== undefined;
      closure = undefined;
      return wasClosed;
    },
    failed(reason, now) {
      failuresInARow++;
      if (closure !== undefined || failuresInARow >= FAILURES_TO_CLOSE) close(reason, now);
    },
    close,
  };
}

export const CLOSED_MESSAGES: Record<ClosedReason, string> = {
  unavailable:
    "lane closed: the environment doesn't answer or answers with errors; it is retried without end",
  short_answers:
    "lane closed: the environment answers with success but doesn't say that it took the entries; check that baseUrl of this environment is the API's address",
  retry_after: "lane closed: the environment asked to wait",
  token_unavailable: "lane closed: the token server doesn't give a token; it is retried without end",
  credentials_refused:
    "lane closed: the token server refuses the request; check auth.clientId, auth.clientSecret, auth.scope and the token's address (auth.tokenUrl or baseUrl) of this environment",
  unauthorized:
    "lane closed: the environment doesn't accept a fresh token; check auth and baseUrl of this environment",
  misconfigured:
    "lane closed: the environment refuses access or the path; check auth.scope, the client's permissions and baseUrl of this environment",
};
