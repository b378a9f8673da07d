import { ASSUMED_LATENCY_MS, createConcurrency } from "./concurrency.ts";
import type { Answer, Verdict } from "./dialects/dialect.ts";
import type { Gate } from "./gate.ts";
import { createPace } from "./pace.ts";
import type { Part } from "./parts.ts";
import { createTokenBucket } from "./token-bucket.ts";

/** One request under way, from the wait for its token on. */
export interface Flight {
  readonly part: Part;
  /** Started while the lane was closed, to find out whether it may open. */
  readonly isProbe: boolean;
  /** Of the lane's clock; undefined while the token is on its way. */
  sentAt: number | undefined;
  readonly controller: AbortController;
}

/** Says when a lane's next request may start, by its gate, its quota at the present pace, and its concurrency. */
export interface Throttle {
  /** Milliseconds until a request may start; 0: now; Infinity: when one in flight has ended. */
  wait(): number;
  /** Starts a request; to be called when `wait` is 0. */
  start(part: Part): Flight;
  /** Whether a flight may still be sent, now that its token is there. */
  admits(flight: Flight): boolean;
  /** The environment answered, or, without `answer`, the transport failed. */
  observe(flight: Flight, answer: Answer | undefined): void;
  /** Whatever its end was; a second time does nothing. */
  end(flight: Flight): void;
  /** The lane, closed for so many milliseconds, is open again, for the environment dealt with this flight. */
  reopened(by: Flight, closedFor: number): void;
  /** Aborts all that is in flight, and forgets it at once. */
  abort(): void;
  setQuota(requestsPerSecond: number): void;
  readonly inFlight: number;
  readonly concurrencyLimit: number;
  /** The quota at the present pace. */
  readonly requestsPerSecond: number;
}

export interface ThrottleOptions {
  gate: Gate;
  maxConcurrency: number;
  /** Seconds that a request waited for the quota. */
  onRateWait(seconds: number): void;
  /** A flight hangs: it was aborted, and its part is to be sent again. */
  onGivenUp(flight: Flight): void;
  /** Milliseconds, monotonic. */
  now(): number;
}

/** Probes in flight at most. The first ones may take all the time that a request has; the last makes room for the next. */
const MAX_PROBES = 4;
/** What isn't answered for so long, and so many times the last latency, hangs. */
const HANGS = { afterMs: 1_500, latencies: 8 };
/**
 * A further probe is sent when one isn't answered for so many times the last latency, or for the gate's probe interval. The
 * last answer before an outage may have been a very slow one, so that says no more than this much.
 */
const PROBE_AGAIN = { latencies: 2, atMostMs: 3_000 };

export function createThrottle(options: ThrottleOptions): Throttle {
  const { gate, maxConcurrency, now } = options;
  const pace = createPace(now());
  const concurrency = createConcurrency(maxConcurrency);
  const bucket = createTokenBucket(0, now());
  /** In the order of their start. */
  const flights = new Set<Flight>();
  let lastSignAt = now();
  let lastLatency = ASSUMED_LATENCY_MS;
  let rateBlockedSince: number | undefined;

  const hangTime = (): number => Math.max(HANGS.afterMs, HANGS.latencies * lastLatency);

  const giveUp = (flight: Flight): void => {
    flights.delete(flight);
    flight.controller.abort();
    options.onGivenUp(flight);
  };

  /** All that may be in flight is, and none of it is answered: waiting for the timeouts would keep the lane shut too long. */
  function untilItHangs(at: number): number {
    let oldest = at;
    for (const { sentAt } of flights) if (sentAt !== undefined && sentAt < oldest) oldest = sentAt;
    const left = Math.max(lastSignAt, oldest) + hangTime() - at;
    if (left > 0) return left;
    // Nothing has failed yet, so that a probe may go at once.
    gate.close("unavailable", { wait: 0 });
    return 0;
  }

  const probes = (): Flight[] => [...flights].filter(({ isProbe }) => isProbe);

  /** What a probe may take the place of. Of the probes one is always left alone: the environment may have become slow. */
  function replaceable(at: number): Flight | undefined {
    const all = probes();
    if (all.length < MAX_PROBES) {
      const other = [...flights].find(({ isProbe, sentAt = at }) => !isProbe && at - sentAt >= hangTime());
      if (other !== undefined) return other;
    }
    return all.length > 1 ? all.at(-1) : undefined;
  }

  const needsPlace = (): boolean => flights.size >= maxConcurrency || probes().length >= MAX_PROBES;

  function untilAllowed(at: number): number {
    const isProbe = gate.closure() !== undefined;
    const isFull = isProbe
      ? needsPlace() && replaceable(at) === undefined
      : flights.size >= concurrency.limit();
    if (isProbe && isFull) return Number.POSITIVE_INFINITY;
    bucket.setRate(pace.rate(at), at);
    const wait = bucket.wait(at);
    if (wait > 0) {
      rateBlockedSince ??= at;
      return wait;
    }
    if (!isFull) return 0;
    rateBlockedSince = undefined;
    concurrency.heldBack();
    return untilItHangs(at);
  }

  return {
    wait() {
      const closed = gate.wait();
      if (closed === 0) return untilAllowed(now());
      rateBlockedSince = undefined;
      return closed;
    },
    start(part) {
      const at = now();
      bucket.take(at);
      options.onRateWait(rateBlockedSince === undefined ? 0 : (at - rateBlockedSince) / 1_000);
      rateBlockedSince = undefined;
      const isProbe = gate.closure() !== undefined;
      if (isProbe) {
        gate.probing(Math.min(PROBE_AGAIN.atMostMs, PROBE_AGAIN.latencies * lastLatency));
        const other = needsPlace() ? replaceable(at) : undefined;
        if (other !== undefined) giveUp(other);
      }
      const flight: Flight = { part, isProbe, sentAt: undefined, controller: new AbortController() };
      flights.add(flight);
      concurrency.started(flights.size);
      return flight;
    },
    admits: ({ isProbe }) => gate.admits(isProbe),
    observe({ sentAt, isProbe }, answer) {
      const sign = loadSignOf(answer);
      const at = now();
      lastSignAt = at;
      if (sentAt === undefined) return;
      if (sign === "served") {
        lastLatency = at - sentAt;
        pace.accepted();
        concurrency.answered(sentAt, at);
      } else if (sign === "overloaded") {
        concurrency.failed(sentAt, at);
      } else if (sign === "throttled" && !isProbe) {
        // One probe at a time is no measure of a rate.
        pace.throttled(sentAt, at);
      }
    },
    end(flight) {
      // The next one waits for the last of them only.
      if (flight.isProbe && probes().at(-1) === flight) gate.probeEnded();
      flights.delete(flight);
    },
    reopened(by, closedFor) {
      const at = now();
      pace.resumed(closedFor, at);
      concurrency.restart(at);
      // What a much later one has overtaken isn't slow, but lost.
      const before = (by.sentAt ?? 0) - hangTime();
      for (const flight of [...flights]) if ((flight.sentAt ?? before) < before) giveUp(flight);
    },
    abort() {
      for (const { controller } of flights) controller.abort();
      // They end when they like: nothing of what starts now may depend on them.
      flights.clear();
      gate.probeEnded();
      rateBlockedSince = undefined;
    },
    setQuota(requestsPerSecond) {
      const at = now();
      pace.setQuota(requestsPerSecond, at);
      bucket.setRate(pace.rate(at), at);
      concurrency.setRate(requestsPerSecond);
    },
    get inFlight() {
      return flights.size;
    },
    get concurrencyLimit() {
      return concurrency.limit();
    },
    get requestsPerSecond() {
      return pace.rate(now());
    },
  };
}

const UNSERVED: ReadonlySet<Verdict["kind"]> = new Set(["unavailable", "unauthorized", "misconfigured"]);

/** What an attempt tells of the environment's load, whatever it tells of the entries. */
function loadSignOf(answer: Answer | undefined): "served" | "throttled" | "overloaded" | "none" {
  // 429 is about the rate; 503, 504 and no answer may be about too much at a time.
  if (answer === undefined || answer.httpStatus === 503 || answer.httpStatus === 504) return "overloaded";
  if (answer.httpStatus === 429) return "throttled";
  const isServed = !UNSERVED.has(answer.verdict.kind);
  return isServed ? "served" : "none";
}
