/** A rate limiter that counts every attempt. Pure: the clock, in milliseconds, is an argument. */
export interface TokenBucket {
  /** Milliseconds until there is a token; 0 if there is one. */
  wait(now: number): number;
  /** Takes one token if there is one, and answers 0; else the milliseconds until there will be one. */
  take(now: number): number;
  /** Changes the rate; tokens already there stay, up to the new burst. A rate of 0 never gives a token. */
  setRate(tokensPerSecond: number, now: number): void;
}

/** A burst of this many seconds' worth of tokens, so that a pause isn't followed by a flood. */
const BURST_SECONDS = 0.1;

export function createTokenBucket(
  tokensPerSecond: number,
  now: number,
  burstSeconds = BURST_SECONDS,
): TokenBucket {
  let rate = tokensPerSecond;
  let updatedAt = now;
  const burst = () => Math.max(1, rate * burstSeconds);
  let tokens = burst();

  const refill = (at: number) => {
    tokens = Math.min(burst(), tokens + (Math.max(0, at - updatedAt) / 1000) * rate);
    updatedAt = Math.max(updatedAt, at);
  };

  const wait = (at: number): number => {
    refill(at);
    if (rate <= 0) return Number.POSITIVE_INFINITY;
    // Tolerates the rounding of a wait that was computed from the very rate it is measured against.
    return tokens >= 1 - 1e-9 ? 0 : ((1 - tokens) / rate) * 1000;
  };

  return {
    wait,
    take(at) {
      const left = wait(at);
      if (left === 0) tokens = Math.max(0, tokens - 1);
      return left;
    },
    setRate(next, at) {
      refill(at);
      rate = next;
      tokens = Math.min(tokens, burst());
    },
  };
}
