import type { Batch, BatchScope } from "../batching/batch.ts";
import { messageOf } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";
import { createBacklog } from "./backlog.ts";
import type { ClosedReason } from "./circuit.ts";
import type { Answer, Dialect, HttpSend } from "./dialects/dialect.ts";
import { createGate } from "./gate.ts";
import { type Done, finishPart, halvesOf, isSingle, type Part, wholePart } from "./parts.ts";
import { type BackoffLimits, backoff } from "./retry.ts";
import { createTokenBucket } from "./token-bucket.ts";
import type { TokenSource } from "./token-source.ts";

export type { PartOutcome } from "./parts.ts";

export type AttemptOutcome =
  | "acknowledged"
  | "short"
  | "refused"
  | "unauthorized"
  | "misconfigured"
  | "unavailable"
  | "error";

export interface LaneEvents {
  onAttempt(outcome: AttemptOutcome, seconds: number): void;
  /** Seconds that an attempt waited for the rate limit. */
  onRateWait(seconds: number): void;
}

export interface LaneOptions {
  name: string;
  requestsPerSecond: number;
  maxConcurrency: number;
  retry: BackoffLimits;
  dialect: Dialect;
  send: HttpSend;
  tokens: TokenSource;
  events: LaneEvents;
  logger: Logger;
  /** Asked before every request: false while this process may not be the partitions' owner. */
  maySend(): boolean;
  /** Milliseconds, monotonic. */
  now(): number;
  random(): number;
  /** The scope that tokens are asked for: named in the log when the environment refuses access. */
  scope?: string;
}

export interface LaneState {
  queued: number;
  inFlight: number;
  waitingForRetry: number;
  closure: { reason: ClosedReason; sinceSecondsAgo: number; untilInSeconds: number } | null;
}

/** The delivery machinery of one environment. */
export interface Lane {
  readonly name: string;
  /** `done` gets the outcome of every entry, in parts that cover the batch; it isn't called after `reset`. */
  deliver(scope: BatchScope, batch: Batch, done: Done): void;
  /** This replica's share of the environment's quota, 0 to 1. */
  setShare(share: number): void;
  /** Forgets all work and aborts what is in flight: the partitions went elsewhere, or will be rebuilt. */
  reset(): void;
  /** Starts what may be started; to be called when `maySend` turns true. */
  wake(): void;
  /** Starts nothing any more; resolves once nothing is in flight. */
  drain(): Promise<void>;
  state(): LaneState;
}

/** Longest timer; a lane looks again at least this often. */
const MAX_TIMER_MS = 1_000;

/**
 * A part's way:
 *
 *   ready ── gate, rate and `maySend` allow ──► under way ── last word on its entries ──► finished
 *     ▲                                             │
 *     ├── at once, in front: split in halves, 401, the lane closed
 *     └── after its backoff: no answer, unavailable, one entry not taken
 */
export function createLane(options: LaneOptions): Lane {
  const { name, maxConcurrency, retry, scope, tokens, dialect, events, logger, now, random } = options;
  const backlog = createBacklog(() => pump());
  const gate = createGate({ environment: name, scope, maxConcurrency, retry, logger, now, random });
  const bucket = createTokenBucket(0, now());
  let inFlight = 0;
  let controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let rateBlockedSince: number | undefined;
  let idle: { promise: Promise<void>; resolve(): void } | undefined;

  const isStopped = (): boolean => idle !== undefined || !options.maySend();

  const wakeIn = (milliseconds: number): void => {
    timer = setTimeout(pump, Math.max(1, Math.min(milliseconds, MAX_TIMER_MS)));
  };

  /** Starts all that may be started now, and sees to it that it is called again when more may be. */
  function pump(): void {
    clearTimeout(timer);
    while (backlog.ready > 0 && !isStopped()) {
      const at = now();
      if (inFlight >= gate.allowed()) {
        rateBlockedSince = undefined;
        const until = gate.closure()?.until ?? at;
        if (until > at) wakeIn(until - at);
        return;
      }
      const wait = bucket.take(at);
      if (wait > 0) {
        rateBlockedSince ??= at;
        wakeIn(wait);
        return;
      }
      events.onRateWait(rateBlockedSince === undefined ? 0 : (at - rateBlockedSince) / 1000);
      rateBlockedSince = undefined;
      const part = backlog.shift();
      if (part !== undefined) void attempt(part, controller.signal);
    }
  }

  async function attempt(part: Part, signal: AbortSignal): Promise<void> {
    inFlight++;
    try {
      const token = await tokens.get();
      if (signal.aborted) return;
      if (!token.ok) {
        gate.close(token.refused ? "credentials_refused" : "token_unavailable");
        backlog.pushFront(part);
      } else if (isStopped() || inFlight > gate.allowed()) {
        // Much may have happened while the token was on its way.
        backlog.pushFront(part);
      } else {
        await submit(part, token.value, signal);
      }
    } catch (error) {
      // Nothing above is expected to throw; a batch must not vanish if it does.
      logger.error({ environment: name, error: messageOf(error) }, "delivery attempt failed unexpectedly");
      if (!signal.aborted) retryLater(part);
    } finally {
      inFlight--;
      if (inFlight === 0) idle?.resolve();
      pump();
    }
  }

  async function submit(part: Part, token: string, signal: AbortSignal): Promise<void> {
    part.attempts++;
    const startedAt = now();
    let answer: Answer | undefined;
    try {
      answer = await dialect.submit(options.send, { ...part.slice, token }, signal);
    } catch (error) {
      if (signal.aborted) return;
      logger.debug({ environment: name, error: messageOf(error) }, "no answer from the environment");
    }
    if (signal.aborted) return;
    events.onAttempt(answer?.verdict.kind ?? "error", (now() - startedAt) / 1000);
    if (answer === undefined) {
      gate.failed("unavailable");
      retryLater(part);
    } else {
      apply(part, answer, token);
    }
  }

  /** The rows of the answer table. */
  function apply(part: Part, answer: Answer, token: string): void {
    const { verdict, httpStatus } = answer;
    const isSecondUnauthorized = part.wasUnauthorized;
    part.wasUnauthorized = verdict.kind === "unauthorized";
    switch (verdict.kind) {
      case "acknowledged":
        reopen();
        finishPart(part, answer, true);
        break;
      case "refused":
        reopen();
        if (isSingle(part)) finishPart(part, answer, false);
        else split(part);
        break;
      case "short":
        // Of many entries some may have been taken; of one, none was. An address that answers everything so is a wrong one.
        if (isSingle(part)) {
          gate.failed("short_answers");
          retryLater(part);
        } else {
          split(part);
        }
        break;
      case "unauthorized":
        tokens.invalidate(token);
        backlog.pushFront(part);
        if (isSecondUnauthorized) gate.close("unauthorized", { httpStatus });
        break;
      case "misconfigured":
        backlog.pushFront(part);
        gate.close("misconfigured", { httpStatus });
        break;
      case "unavailable":
        if (verdict.retryAfter === undefined) {
          gate.failed("unavailable");
          retryLater(part);
        } else {
          backlog.pushFront(part);
          gate.close("retry_after", { wait: verdict.retryAfter, httpStatus });
        }
    }
  }

  function split(part: Part): void {
    const [first, second] = halvesOf(part);
    backlog.pushFront(second);
    backlog.pushFront(first);
  }

  const retryLater = (part: Part): void => backlog.delay(part, backoff(part.attempts, retry, random));

  function reopen(): void {
    // The backoff of those that wait was for an outage that is over.
    if (gate.succeeded()) backlog.releaseDelayed();
  }

  return {
    name,
    deliver(batchScope, batch, done) {
      backlog.push(wholePart(batchScope, batch, done));
      pump();
    },
    setShare(share) {
      bucket.setRate(options.requestsPerSecond * share, now());
      pump();
    },
    reset() {
      controller.abort();
      controller = new AbortController();
      backlog.clear();
      clearTimeout(timer);
      rateBlockedSince = undefined;
    },
    wake: pump,
    drain() {
      clearTimeout(timer);
      idle ??= deferred();
      if (inFlight === 0) idle.resolve();
      return idle.promise;
    },
    state() {
      const closure = gate.closure();
      const at = now();
      return {
        queued: backlog.ready,
        inFlight,
        waitingForRetry: backlog.delayed,
        closure: closure
          ? {
              reason: closure.reason,
              sinceSecondsAgo: Math.round((at - closure.since) / 1000),
              untilInSeconds: Math.max(0, Math.ceil((closure.until - at) / 1000)),
            }
          : null,
      };
    },
  };
}

function deferred(): { promise: Promise<void>; resolve(): void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
