import { ROOT_CONTEXT, type Span } from "@opentelemetry/api";
import { type Deferred, deferred } from "../deferred.ts";
import { messageOf } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";
import { exemplarOf, type TraceIds, traceIds } from "../observability/tracing.ts";
import { createAnswerTable } from "./answer-table.ts";
import { startAttemptSpan } from "./attempt-span.ts";
import { createBacklog } from "./backlog.ts";
import type { ClosedReason } from "./circuit.ts";
import type { Answer, Dialect, EntryOutcome, HttpSend } from "./dialects/dialect.ts";
import { createGate } from "./gate.ts";
import { type Delivery, type Part, partsOf, splitPart } from "./parts.ts";
import { type BackoffLimits, backoff } from "./retry.ts";
import { createThrottle, type Flight } from "./throttle.ts";
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
  /** `exemplar`: of its span, if that is kept. */
  onAttempt(outcome: AttemptOutcome, seconds: number, exemplar?: TraceIds): void;
  /** Seconds that an attempt waited for the rate limit. */
  onRateWait(seconds: number): void;
  /** What must not happen: an answer couldn't be dealt with. Only a restart puts that right. */
  onDefect(error: unknown): void;
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
  /** Parts that are ready, and those held back behind another wish for one of their phones. */
  queued: number;
  inFlight: number;
  waitingForRetry: number;
  /** Milliseconds since the epoch; `until`, when it will be tried again, is null if that is up to an operator. */
  closure: { reason: ClosedReason | "paused"; since: number; until: number | null } | null;
  /** Requests that may be in flight now, by what the environment's answers say; `maxConcurrency` at most. */
  concurrencyLimit: number;
  /** The rate at which requests start now: this replica's quota, or less if the environment answers 429. 3 digits. */
  requestsPerSecond: number;
  /** This replica's share of the environment's quota, in requests a second. 3 digits. */
  quotaShare: number;
}

/**
 * A lane that was closed when its partitions went elsewhere has nothing left to try the environment with. After so long it
 * isn't called closed any more: whether it still is, others know. Long enough for a rebalance; in milliseconds.
 */
const UNTRIED_MS = 60_000;

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

/** A part that failed so many times while others may have been taken holds those behind it back no longer. */
const PATIENCE_WITH_ONE = 8;
const TOO_MANY_REQUESTS = 429;

/**
 * A part's way:
 *
 *   ready ── gate, rate and `maySend` allow ──► under way ── last word on its entries ──► finished
 *     ▲ │                                           │
 *     │ └─► held back, while another wish for one of its phones has no last word (`phone-order.ts`); then in front
 *     ├── at once, in front: 401, the lane closed ──┤
 *     ├── after its backoff: no answer, unavailable, one entry not taken
 *     └── its pieces, once the ledger has the split: refused or not taken whole
 */
export function createLane(options: LaneOptions): Lane {
  const { name, maxConcurrency, retry, tokens, dialect, events, logger, now, random } = options;
  const backlog = createBacklog(() => pump());
  let quota = 0;
  const gate = createGate({
    ...{ environment: name, scope: dialect.scope, retry, logger, now, random },
    requestsPerSecond: () => quota,
  });
  const throttle = createThrottle({ gate, maxConcurrency, onRateWait: events.onRateWait, onGivenUp, now });
  const applyAnswer = createAnswerTable({ backlog, gate, throttle, tokens, split, retryLater, now });
  let resets = 0;
  let timer: NodeJS.Timeout | undefined;
  let pausedSince: number | undefined;
  let begun: { at: number; sinceEpoch: number } | undefined;
  let idle: Deferred | undefined;

  const isStopped = (): boolean => idle !== undefined || pausedSince !== undefined || !options.maySend();

  const wakeIn = (milliseconds: number): void => {
    timer = setTimeout(pump, Math.max(1, Math.min(milliseconds, MAX_TIMER_MS)));
  };

  /** A closed lane is probed with a part that waits for its backoff if there is no other: its own backoff is the same wait. */
  const hasPart = (): boolean => backlog.ready > 0 || (backlog.delayed > 0 && gate.closure() !== undefined);

  /** Starts all that may be started now, and sees to it that it is called again when more may be. */
  function pump(): void {
    clearTimeout(timer);
    while (hasPart() && !isStopped()) {
      const wait = throttle.wait();
      if (wait > 0) {
        wakeIn(wait);
        return;
      }
      const part = backlog.shift() ?? (gate.closure() && backlog.shiftDelayed());
      if (part !== undefined) void attempt(throttle.start(part));
    }
  }

  async function attempt(flight: Flight): Promise<void> {
    const { part } = flight;
    const { signal } = flight.controller;
    try {
      const result = await tokens.get();
      if (signal.aborted) return;
      if (!result.ok) {
        const { refused, retryAfter: wait, detail } = result;
        gate.close(refused ? "credentials_refused" : "token_unavailable", { wait, detail });
        backlog.pushFront(part);
      } else if (isStopped() || !throttle.admits(flight)) {
        // Much may have happened while the token was on its way.
        backlog.pushFront(part);
      } else {
        await submit(flight, result.token);
      }
    } catch (error) {
      // Nothing above is expected to throw; a batch must not vanish if it does.
      logger.error({ environment: name, error: messageOf(error) }, "delivery attempt failed unexpectedly");
      if (!signal.aborted) retryLater(part);
    } finally {
      throttle.end(flight);
      if (throttle.inFlight === 0) idle?.resolve();
      pump();
    }
  }

  async function submit(flight: Flight, token: IssuedToken): Promise<void> {
    const { part } = flight;
    const { signal } = flight.controller;
    part.attempts++;
    const startedAt = now();
    flight.sentAt = startedAt;
    const attempted = spanOf(part);
    const send = attempted.sending(options.send);
    let answer: Answer | undefined;
    let error: string | undefined;
    try {
      const { key, entries, body } = part.slice;
      answer = await dialect.submit(send, { key, entries, body, token: token.value }, signal);
    } catch (failure) {
      error = messageOf(failure);
    }
    if (signal.aborted) {
      attempted.end("aborted");
      return;
    }
    // From here on the part is dealt with: what its answer does, or another that came with it, must not give it up as lost.
    throttle.end(flight);
    // Entries may be refused without a request; then its span is left alone, and so nobody gets to see it.
    const wasSent = answer?.httpStatus !== null;
    if (wasSent) {
      throttle.observe(flight, answer);
      const outcome = answer?.verdict.kind ?? "error";
      const seconds = (now() - startedAt) / 1000;
      events.onAttempt(outcome, seconds, exemplarOf(attempted.span));
      attempted.end(outcome, answer?.httpStatus);
      if (logger.isLevelEnabled("debug")) {
        const { httpStatus } = answer ?? {};
        logger.debug({ ...linesOf(part, attempted.span), outcome, httpStatus, seconds, error }, "attempt");
      }
    }
    if (answer === undefined) {
      gate.failed("unavailable");
      retryLater(part);
    } else {
      try {
        applyAnswer(flight, answer, token);
      } catch (error) {
        // The part may have ended already: to send it again could repeat or skip what its batch has done.
        events.onDefect(error);
      }
    }
  }

  const spanOf = ({ job, slice, attempts }: Part) =>
    startAttemptSpan({
      environment: name,
      parent: job.trace?.context ?? ROOT_CONTEXT,
      entries: slice.entries.length,
      attempt: attempts,
    });

  const linesOf = ({ job, attempts }: Part, span: Span) => ({
    environment: name,
    ...job.trace?.ids,
    ...traceIds(span),
    attempt: attempts,
  });

  function onGivenUp({ part, sentAt }: Flight): void {
    if (sentAt !== undefined) events.onAttempt("error", (now() - sentAt) / 1000);
    retryLater(part);
  }

  /** Its pieces go before the other batches of its partition. */
  function split(part: Part, outcomes?: readonly EntryOutcome[]): void {
    const epoch = resets;
    splitPart(part, outcomes, (pieces) => {
      if (epoch !== resets) return;
      for (const piece of pieces.reverse()) backlog.pushFront(piece);
      pump();
    });
  }

  /**
   * An opt-out that is in order but on no list helps nobody. So a part that fails by itself, again and again, goes behind
   * those that wait for it. Failures of a closed lane don't count: after an outage the order is what it was before. Nor
   * does a 429: that was about the rate, and would have met any other part.
   */
  function retryLater(part: Part, httpStatus?: number | null): void {
    const isItsOwn = gate.closure() === undefined && httpStatus !== TOO_MANY_REQUESTS;
    if (isItsOwn && ++part.failuresWhileOpen >= PATIENCE_WITH_ONE) {
      backlog.release(part, part);
    }
    backlog.delay(part, backoff(part.attempts, retry, random));
  }

  const sinceEpoch = (at: number): number => Math.round(Date.now() + at - now());
  /** Worked out once, so that it doesn't change by a millisecond each time it is looked at. */
  const beginning = (at: number): number => {
    if (begun?.at !== at) begun = { at, sinceEpoch: sinceEpoch(at) };
    return begun.sinceEpoch;
  };

  function closureNow(): LaneState["closure"] {
    if (pausedSince !== undefined) return { reason: "paused", since: beginning(pausedSince), until: null };
    const closure = gate.closure();
    if (closure === undefined) return null;
    const { reason, since, until } = closure;
    const hasWork = backlog.ready + backlog.heldBack + backlog.delayed + throttle.inFlight > 0;
    if (!hasWork && now() > until + UNTRIED_MS) return null;
    return { reason, since: beginning(since), until: sinceEpoch(until) };
  }

  return {
    name,
    deliver(delivery) {
      for (const part of partsOf(delivery, dialect.maxEntries, backlog.release)) backlog.push(part);
      pump();
    },
    setShare(share) {
      quota = options.requestsPerSecond * share;
      throttle.setQuota(quota);
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
      resets++;
      throttle.abort();
      backlog.clear();
      clearTimeout(timer);
    },
    wake: pump,
    drain() {
      clearTimeout(timer);
      idle ??= deferred();
      if (throttle.inFlight === 0) idle.resolve();
      return idle.promise;
    },
    state: () => ({
      queued: backlog.ready + backlog.heldBack,
      inFlight: throttle.inFlight,
      waitingForRetry: backlog.delayed,
      closure: closureNow(),
      concurrencyLimit: throttle.concurrencyLimit,
      requestsPerSecond: Number(throttle.requestsPerSecond.toPrecision(3)),
      quotaShare: Number(quota.toPrecision(3)),
    }),
  };
}
