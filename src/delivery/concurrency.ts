/**
 * How many requests of a lane may be in flight. Pure: the clock, in milliseconds, is an argument.
 *
 * The quota bounds the rate, so in-flight requests are rate × latency (Little's law) while all is well. This limit is about
 * the rest: an environment that gets slower the more it has to do. It starts at twice what the law says and adapts, in the
 * manner of Vector's adaptive request concurrency, in windows of a few answers:
 *
 * - no answer, 503 or 504: a tenth less, once for what was sent under the same limit;
 * - slower than it used to be, though the limit is what held requests back: three tenths less, as a trial. If that makes it
 *   faster, there was a queue, and it stays so; if not, this is how slow it is now, the trial is undone, and the law is asked
 *   again;
 * - else, and only if the limit is what held requests back: a little more.
 */
export interface Concurrency {
  /** From 1 to the most that is configured. */
  limit(): number;
  /** Milliseconds that an answer takes without a queue; undefined before it was measured. */
  latency(): number | undefined;
  /** The rate that the limit must allow for, in requests per second. */
  setRate(requestsPerSecond: number): void;
  /** A request starts as one of so many in flight. */
  started(inFlight: number): void;
  /** A request could have started but for the limit. */
  heldBack(): void;
  /** The environment has dealt with the request. */
  answered(startedAt: number, now: number): void;
  /** No answer to the request, or one that says that the environment is overloaded. */
  failed(startedAt: number, now: number): void;
  /** An outage is over: what was seen in it says nothing about now. */
  restart(now: number): void;
}

/** Milliseconds, taken for the latency until there are answers: too much only allows for more in flight at first. */
export const ASSUMED_LATENCY_MS = 500;
/** The law is asked for no less, so that a burst of the quota, a tenth of a second's worth, may leave at once. */
const LEAST_LATENCY_MS = 100;
const HEADROOM = 2;
const AFTER_FAILURE = 0.9;
const TRIAL = 0.7;
/** Slower than it used to be: by half, and by more than a busy machine's own delays. */
const SLOW = { factor: 1.5, moreMs: 25 };
const GROWTH = 0.1;
/** Share of what the law says: so few in flight make no queue. */
const FEW = 0.25;
/** Weight of a window in what is taken for the usual latency. */
const DRIFT = 0.2;
/** Answers in a window: as many as may be in flight, within these bounds. */
const WINDOW = { min: 8, max: 32 };

export function createConcurrency(max: number): Concurrency {
  let rate = 0;
  let base: number | undefined;
  let limit = 1;
  /** When the limit last became less: what was sent before says nothing about it. */
  let lessSince = Number.NEGATIVE_INFINITY;
  let trial: { latency: number; limit: number; ratio: number } | undefined;
  /** The last window was slow too, and the limit kept what was in flight from growing. */
  let isSteady = false;
  let window = emptyWindow(Number.NEGATIVE_INFINITY);

  const within = (value: number): number => Math.max(1, Math.min(max, Math.floor(value)));
  const seed = (latency = base ?? ASSUMED_LATENCY_MS): number =>
    within(Math.ceil(HEADROOM * rate * (Math.max(LEAST_LATENCY_MS, latency) / 1_000)) + 1);

  const lower = (to: number, now: number): void => {
    limit = within(to);
    lessSince = now;
  };

  const forget = (): void => {
    trial = undefined;
    isSteady = false;
  };

  const grow = (): void => {
    if (window.heldBack) limit = within(limit + (limit < seed() ? Math.ceil(limit * GROWTH) : 1));
  };

  /** True if fewer in flight made the answers hardly faster: it is slow by itself. */
  const isItself = (latency: number, tried: { latency: number; ratio: number }): boolean =>
    latency > tried.latency * (1 - (1 - tried.ratio) / 2);

  function rebase(latency: number, before: number): void {
    base = latency;
    isSteady = false;
    limit = window.heldBack ? Math.max(before, seed()) : before;
  }

  function whenSlow(latency: number, now: number): void {
    const inFlight = Math.min(limit, window.peak);
    if (inFlight <= 1 || (!window.heldBack && inFlight <= FEW * seed())) {
      rebase(latency, limit);
    } else if (!window.heldBack) {
      // A limit that nothing came up against doesn't tell how many are too many; if there is a queue that grows, something will.
      isSteady = false;
    } else if (isSteady) {
      const to = within(inFlight * TRIAL);
      trial = { latency, limit, ratio: to / inFlight };
      lower(to, now);
    } else {
      // A queue that still grows would be slower in spite of the trial.
      isSteady = true;
      lower(inFlight, now);
    }
  }

  function judge(latency: number, now: number): void {
    const tried = trial;
    trial = undefined;
    if (base === undefined) {
      limit = seed(latency);
      // Some may have queued already; if none did, a trial will tell.
      base = Math.min(...window.latencies);
    } else if (tried !== undefined && isItself(latency, tried)) {
      rebase(latency, tried.limit);
    } else if (latency > Math.max(base * SLOW.factor, base + SLOW.moreMs)) {
      whenSlow(latency, now);
    } else {
      isSteady = false;
      // What the limit holds back may be a queue that grows: it must not become the usual.
      if (latency < base || !window.heldBack) base += DRIFT * (latency - base);
      grow();
    }
  }

  return {
    limit: () => limit,
    latency: () => base,
    setRate(requestsPerSecond) {
      if (requestsPerSecond === rate) return;
      rate = requestsPerSecond;
      limit = seed();
      forget();
    },
    started(inFlight) {
      window.peak = Math.max(window.peak, inFlight);
    },
    heldBack() {
      window.heldBack = true;
    },
    answered(startedAt, now) {
      if (startedAt < window.since) return;
      window.latencies.push(now - startedAt);
      if (window.latencies.length < Math.max(WINDOW.min, Math.min(WINDOW.max, limit))) return;
      judge(median(window.latencies), now);
      window = emptyWindow(now);
    },
    failed(startedAt, now) {
      if (startedAt < lessSince) return;
      forget();
      lower(limit * AFTER_FAILURE, now);
      window = emptyWindow(now);
    },
    restart(now) {
      limit = seed();
      lessSince = now;
      forget();
      window = emptyWindow(now);
    },
  };
}

interface Window {
  since: number;
  /** Of requests started in this window. */
  latencies: number[];
  peak: number;
  heldBack: boolean;
}

const emptyWindow = (since: number): Window => ({ since, latencies: [], peak: 0, heldBack: false });

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
