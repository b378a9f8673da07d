import { type BackoffLimits, backoff } from "./retry.ts";

/** What closes a lane only if it comes again and again. */
export type FailureReason = "unavailable" | "short_answers" | "entries_failed";

/** Why a lane is closed. */
export type ClosedReason =
  | "unavailable"
  | "short_answers"
  | "entries_failed"
  | "retry_after"
  | "token_unavailable"
  | "credentials_refused"
  | "unauthorized"
  | "misconfigured";

export interface Closure {
  reason: ClosedReason;
  /** Milliseconds of the given clock: when the lane was last open, and when it will be probed (again). */
  since: number;
  until: number;
}

/** Single failures are a batch's own affair; this many in a row, with no success between, close the lane. */
const FAILURES_TO_CLOSE = 5;

/** What time heals without anyone's doing: a probe costs little, and the sooner it is seen to be over, the better. */
const HEALS = new Set<ClosedReason>(["unavailable", "token_unavailable"]);
/** Share of the lane's rate that probes may cost, and the shortest interval between them, in milliseconds. */
const PROBE_SHARE = 0.05;
const MIN_PROBE_INTERVAL_MS = 1_000;

/**
 * A lane's circuit. Pure: clock and randomness are arguments.
 *
 *   open ── failures in a row, Retry-After, ──► closed ── `until` passes ──► probing ──┐ unanswered for a probe interval,
 *     ▲     401, 403, all hangs …               │  ▲                          │   │ ▲  │ or ended without a word on the
 *     │                                         │  └─ failure: for longer ────┘   │ └──┘ environment: another probe
 *     └──────────── any answer about entries ───┴─────────────────────────────────┘
 *
 * How long a failure closes it: by the configured backoff if it takes people to mend it. What time heals by itself (no answer,
 * 5xx, no token) is probed at least every min(maxBackoff, max(1 s, what costs a twentieth of the rate)): an opt-out must not
 * wait for an outage that is over. Probes are single requests; the throttle has a few of them in flight at most.
 *
 * An answer to a request that was under way when the environment asked to wait doesn't reopen the lane: it would be asked
 * again before the time it named.
 */
export interface Circuit {
  closure(): Closure | undefined;
  /** Milliseconds until a request may start; 0 if the lane is open or a probe is due. */
  wait(now: number): number;
  /** A probe starts. The next one isn't due for `atLeast` milliseconds, unless this one ends before. */
  probing(now: number, atLeast: number): void;
  /** The last probe that started has ended, whatever came of it. */
  probeEnded(): void;
  /** Whether a request that was allowed to start, as a probe or not, may still be sent. */
  admits(isProbe: boolean, now: number): boolean;
  /** The environment answered about the entries. True if that reopened the lane. */
  succeeded(now: number): boolean;
  /** One attempt failed in a way that time may heal. */
  failed(reason: FailureReason, now: number): void;
  /** Closes at once: for `wait` milliseconds if given, else by backoff. */
  close(reason: ClosedReason, now: number, wait?: number): void;
}

export interface CircuitOptions {
  retry: BackoffLimits;
  /** The lane's rate, as it is now; it may be 0. */
  requestsPerSecond(): number;
  random(): number;
}

export function createCircuit({ retry, requestsPerSecond, random }: CircuitOptions): Circuit {
  let closure: Closure | undefined;
  let failuresInARow = 0;
  /** Closings since the lane was last open; a lane that is closed already isn't closed again by stragglers. */
  let closings = 0;
  /** What the environment itself asked for: nobody may try before. */
  let heldUntil = Number.NEGATIVE_INFINITY;
  /** While a probe is unanswered. */
  let nextProbeAt = Number.NEGATIVE_INFINITY;

  const probeInterval = (): number =>
    Math.min(retry.maxBackoff, Math.max(MIN_PROBE_INTERVAL_MS, 1_000 / (PROBE_SHARE * requestsPerSecond())));

  const backoffFor = (reason: ClosedReason): number =>
    backoff(closings, HEALS.has(reason) ? { ...retry, maxBackoff: probeInterval() } : retry, random);

  const close = (reason: ClosedReason, now: number, wait?: number): void => {
    const isWaiting = closure !== undefined && now < closure.until;
    if (isWaiting && wait === undefined) return;
    if (!isWaiting) closings++;
    if (wait !== undefined) heldUntil = Math.max(heldUntil, now + wait);
    const until = now + (wait ?? backoffFor(reason));
    closure = { reason, since: closure?.since ?? now, until: Math.max(until, closure?.until ?? 0) };
    nextProbeAt = Number.NEGATIVE_INFINITY;
  };

  return {
    closure: () => closure && { ...closure, until: Math.max(closure.until, nextProbeAt) },
    wait: (now) => (closure === undefined ? 0 : Math.max(0, closure.until - now, nextProbeAt - now)),
    probing(now, atLeast) {
      nextProbeAt = now + Math.max(probeInterval(), atLeast);
    },
    probeEnded() {
      nextProbeAt = Number.NEGATIVE_INFINITY;
    },
    admits: (isProbe, now) => closure === undefined || (isProbe && now >= heldUntil),
    succeeded(now) {
      failuresInARow = 0;
      if (now < heldUntil) return false;
      closings = 0;
      const wasClosed = closure !== undefined;
      closure = undefined;
      nextProbeAt = Number.NEGATIVE_INFINITY;
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
  entries_failed:
    "lane closed: the environment answers, but takes none of the entries; look at the do-not-call list itself: whether it is active, full or busy",
  retry_after: "lane closed: the environment asked to wait",
  token_unavailable: "lane closed: the token server doesn't give a token; it is retried without end",
  credentials_refused:
    "lane closed: the token server refuses the request; check the credentials in auth, auth.scope and auth.tokenUrl if there are such, and baseUrl of this environment",
  unauthorized:
    "lane closed: the environment doesn't accept a fresh token; check auth and baseUrl of this environment",
  misconfigured:
    "lane closed: the environment refuses access or the path; check auth.scope if there is one, the client's permissions, baseUrl, and what else of this environment is part of the path",
};
