import { messageOf } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";
import { createBacklog } from "./backlog.ts";
import type { ClosedReason } from "./circuit.ts";
import type { Answer, Dialect, EntryOutcome, HttpSend } from "./dialects/dialect.ts";
import { createGate } from "./gate.ts";
import {
  type Delivery,
  finishEntries,
  finishPart,
  isSingle,
  type Part,
  partsOf,
  splitPart,
} from "./parts.ts";
import { type BackoffLimits, backoff } from "./retry.ts";
import { createTokenBucket } from "./token-bucket.ts";
import type { IssuedToken, TokenSource } from "./token-source.ts";

export type { Delivery, PartOutcome } from "./parts.ts";

export type AttemptOutcome =
  | "acknowledged"
  | "entries"
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
}

export interface LaneState {
  queued: number;
  inFlight: number;
  waitingForRetry: number;
  /** Milliseconds since the epoch; `until`, when it will be tried again, is null if that is up to an operator. */
  closure: { reason: ClosedReason | "paused"; since: number; until: number | null } | null;
}

/** The delivery machinery of one environment. */
export interface Lane {
  readonly name: string;
  deliver(delivery: Delivery): void;
  /** This replica's share of the environment's quota, 0 to 1. */
  setShare(share: number): void;
  /** An operator's word: nothing is started until `resume`, whatever else happens; what is in flight ends by itself. */
  pause(): void;
  resume(): void;
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
 *     ├── at once, in front: 401, the lane closed ──┤
 *     ├── after its backoff: no answer, unavailable, one entry not taken
 *     └── its pieces, once the ledger has the split: refused or not taken whole
 */
export function createLane(options: LaneOptions): Lane {
  const { name, maxConcurrency, retry, tokens, dialect, events, logger, now, random } = options;
  const backlog = createBacklog(() => pump());
  const gate = createGate({
    ...{ environment: name, scope: dialect.scope, maxConcurrency, retry, logger, now, random },
  });
  const bucket = createTokenBucket(0, now());
  let inFlight = 0;
  let controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let rateBlockedSince: number | undefined;
  let pausedSince: number | undefined;
  let idle: { promise: Promise<void>; resolve(): void } | undefined;

  const isStopped = (): boolean => idle !== undefined || pausedSince !== undefined || !options.maySend();

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
      const result = await tokens.get();
      if (signal.aborted) return;
      if (!result.ok) {
        const { refused, retryAfter: wait } = result;
        gate.close(refused ? "credentials_refused" : "token_unavailable", wait === undefined ? {} : { wait });
        backlog.pushFront(part);
      } else if (isStopped() || inFlight > gate.allowed()) {
        // Much may have happened while the token was on its way.
        backlog.pushFront(part);
      } else {
        await submit(part, result.token, signal);
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

  async function submit(part: Part, token: IssuedToken, signal: AbortSignal): Promise<void> {
    part.attempts++;
    const startedAt = now();
    let answer: Answer | undefined;
    try {
      answer = await dialect.submit(options.send, { ...part.slice, token: token.value }, signal);
    } catch (error) {
      if (signal.aborted) return;
      logger.debug({ environment: name, error: messageOf(error) }, "no answer from the environment");
    }
    if (signal.aborted) return;
    // Entries may be refused without a request.
    const wasSent = answer?.httpStatus !== null;
    if (wasSent) events.onAttempt(answer?.verdict.kind ?? "error", (now() - startedAt) / 1000);
    if (answer === undefined) {
      gate.failed("unavailable");
      retryLater(part);
    } else {
      apply(part, answer, token);
    }
  }

  /** The rows of the answer table. */
  function apply(part: Part, answer: Answer, token: IssuedToken): void {
    const { verdict } = answer;
    const why = answer.httpStatus === null ? {} : { httpStatus: answer.httpStatus };
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
      case "entries":
        applyEach(part, answer, verdict.outcomes);
        break;
      case "short":
        notTaken(part);
        break;
      case "unauthorized":
        tokens.invalidate(token);
        backlog.pushFront(part);
        if (isSecondUnauthorized) gate.close("unauthorized", why);
        break;
      case "misconfigured":
        backlog.pushFront(part);
        gate.close("misconfigured", why);
        break;
      case "unavailable":
        if (verdict.retryAfter === undefined) {
          gate.failed("unavailable");
          retryLater(part);
        } else {
          backlog.pushFront(part);
          gate.close("retry_after", { ...why, wait: verdict.retryAfter });
        }
    }
  }

  function applyEach(part: Part, answer: Answer, outcomes: readonly EntryOutcome[]): void {
    if (outcomes.length !== part.slice.entries.length || outcomes.every((outcome) => outcome === "retry")) {
      notTaken(part);
      return;
    }
    reopen();
    if (outcomes.every((outcome) => outcome === "taken")) {
      finishPart(part, answer, true);
    } else {
      split(part, outcomes);
      finishEntries(part, outcomes, answer);
    }
  }

  /** Of many entries some may have been taken; of one, none was. An address that answers everything so is a wrong one. */
  function notTaken(part: Part): void {
    if (isSingle(part)) {
      gate.failed("short_answers");
      retryLater(part);
    } else {
      split(part);
    }
  }

  /** Its pieces go before the other batches of its partition. */
  function split(part: Part, outcomes?: readonly EntryOutcome[]): void {
    const { signal } = controller;
    splitPart(part, outcomes, (pieces) => {
      if (signal.aborted) return;
      for (const piece of pieces.reverse()) backlog.pushFront(piece);
      pump();
    });
  }

  const retryLater = (part: Part): void => backlog.delay(part, backoff(part.attempts, retry, random));

  function reopen(): void {
    // The backoff of those that wait was for an outage that is over.
    if (gate.succeeded()) backlog.releaseDelayed();
  }

  function closureNow(): LaneState["closure"] {
    const sinceEpoch = (at: number): number => Math.round(Date.now() + at - now());
    if (pausedSince !== undefined) return { reason: "paused", since: sinceEpoch(pausedSince), until: null };
    const closure = gate.closure();
    if (closure === undefined) return null;
    const { reason, since, until } = closure;
    return { reason, since: sinceEpoch(since), until: sinceEpoch(until) };
  }

  return {
    name,
    deliver(delivery) {
      for (const part of partsOf(delivery, dialect.maxEntries)) backlog.push(part);
      pump();
    },
    setShare(share) {
      bucket.setRate(options.requestsPerSecond * share, now());
      pump();
    },
    pause() {
      if (pausedSince !== undefined) return;
      pausedSince = now();
      logger.warn({ environment: name }, "lane paused by an operator; opt-outs wait until it is resumed");
    },
    resume() {
      if (pausedSince === undefined) return;
      pausedSince = undefined;
      logger.info({ environment: name }, "lane resumed by an operator");
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
    state: () => ({
      queued: backlog.ready,
      inFlight,
      waitingForRetry: backlog.delayed,
      closure: closureNow(),
    }),
  };
}

function deferred(): { promise: Promise<void>; resolve(): void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
