/**
 * How much of its quota a lane uses. Pure: the clock, in milliseconds, is an argument.
 *
 * A quota may be configured higher than it is, or be used by others too. A 429 tells: the pace goes down at once, to what
 * the environment was seen to take, and then climbs along a cubic curve as TCP CUBIC (RFC 9438) and the AWS SDKs' adaptive
 * retries do: fast at first, flat where the last 429 came, then faster and faster, up to the quota.
 *
 *   1 ┤                        ╭─
 *     │  wall - - - - ╭──────╯
 *     │          ╭───╯
 *     │        ╭╯
 *     └────────┴──────────────────► seconds since the 429
 *
 * It is kept as a factor of the quota, so that a rebalance, which changes this replica's share, keeps what was learned.
 */
export interface Pace {
  /** Of the quota, above 0 and at most 1. */
  factor(now: number): number;
  /** Requests per second to be sent now. */
  rate(now: number): number;
  /** This replica's quota in requests per second. */
  setQuota(requestsPerSecond: number, now: number): void;
  /** A request was taken, whatever became of its entries. */
  accepted(): void;
  /** A request sent at `startedAt` was answered 429. Those sent at an earlier pace don't count against the present one. */
  throttled(startedAt: number, now: number): void;
  /** Nothing was sent for so long, as the lane was closed; the climb goes on where it was. */
  resumed(closedFor: number, now: number): void;
}

/** Share kept at a 429 when nothing better is known: that of CUBIC and of the AWS SDKs. */
const KEPT = 0.7;
/** Share of what the environment was seen to take that is asked for right after a 429. */
const BELOW_WALL = 0.9;
/** A 429 takes away half at most, as a measurement may come from a time with little to send. */
const LEAST_KEPT = 0.5;
const MIN_FACTOR = 0.001;
/** Steepness of the climb, in factors per cubic second: from half the quota to all of it in 8 s, if nothing says no. */
const STEEPNESS = 0.001;
/** A wall found where the last one was is there to stay: each time, the climb is so much flatter, down to the flattest. */
const FLATTER = 0.25;
const FLATTEST = STEEPNESS * FLATTER ** 3;
/** So near are two measurements of the same wall. */
const SAME_WALL = 0.1;
/** A measurement of fewer or over less says nothing; one over more time may be out of date. */
const MEASURED = { requests: 10, fromMs: 1_000, toMs: 60_000 };

export function createPace(now: number): Pace {
  let quota = 0;
  /** The climb starts from `base` at `since`, and is flat at `wall`. */
  let climb = { base: 1, wall: 1, since: Number.NEGATIVE_INFINITY, steepness: STEEPNESS };
  /** Requests taken since the last 429, or since it was last given up. Between two of them it is the quota's very rate. */
  let measure = { accepted: 0, since: now };
  let measuredWall: number | undefined;

  const factor = (at: number): number => {
    const { base, wall, since, steepness } = climb;
    const flatAfter = Math.cbrt((wall - base) / steepness);
    const seconds = Math.max(0, at - since) / 1_000;
    return Math.max(MIN_FACTOR, Math.min(1, wall + steepness * (seconds - flatAfter) ** 3));
  };

  /** Of the quota, what was taken; undefined if that isn't known well. */
  const measured = (at: number): number | undefined => {
    const time = at - measure.since;
    const isEnough =
      measure.accepted >= MEASURED.requests && time >= MEASURED.fromMs && time <= MEASURED.toMs;
    return isEnough && quota > 0 ? measure.accepted / (time / 1_000) / quota : undefined;
  };

  return {
    factor,
    rate: (at) => quota * factor(at),
    setQuota(requestsPerSecond, at) {
      if (requestsPerSecond === quota) return;
      quota = requestsPerSecond;
      measure = { accepted: 0, since: at };
    },
    accepted() {
      measure.accepted++;
    },
    throttled(startedAt, at) {
      if (startedAt < climb.since) return;
      const current = factor(at);
      const taken = measured(at);
      // With a burst in reserve it is at what was taken, without one at the present pace.
      const wall = (current + Math.min(current, taken ?? current)) / 2;
      const base =
        taken === undefined
          ? KEPT * current
          : Math.max(LEAST_KEPT * current, BELOW_WALL * Math.min(current, taken));
      const isSameWall =
        taken !== undefined &&
        measuredWall !== undefined &&
        Math.abs(taken - measuredWall) <= SAME_WALL * measuredWall;
      const steepness = isSameWall ? Math.max(FLATTEST, climb.steepness * FLATTER) : STEEPNESS;
      climb = {
        base: Math.max(MIN_FACTOR, base),
        wall: Math.max(MIN_FACTOR, base, wall),
        since: at,
        steepness,
      };
      const isOver = taken !== undefined || at - measure.since > MEASURED.toMs;
      if (taken !== undefined) measuredWall = taken;
      if (isOver) measure = { accepted: 0, since: at };
    },
    resumed(closedFor, at) {
      climb.since = Math.min(at, climb.since + closedFor);
    },
  };
}
