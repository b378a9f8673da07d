/** A rate limiter that counts every attempt. Pure: the clock, in milliseconds, is an argument. */
export interface TokenBucket {
  /** Takes one token if there is one, and answers 0; else the milliseconds until there will be one. */
  take(now: number): number;
  /** Changes the rate; tokens already there stay, up to the new burst. A rate of 0 never gives a token. */
  setRate(tokensPerSecond: number, now: number): void;
}

/** A burst of this many seconds' worth of tokens, so that a pause isn't followed by a flood. */
const BURST_SECONDS = 0.1;

export function createTokenBucket(tokensPerSecond: number, now: number): TokenBucket {
  let rate = tokensPerSecond;
  let updatedAt = now;
  const burst = () => Math.max(1, rate * BURST_SECONDS);
  let tokens = burst();

  const refill = (at: number) => {
    tokens = Math.min(burst(), tokens + (Math.max(0, at - updatedAt) / 1000) * rate);
    updatedAt = Math.max(updatedAt, at);
  };

  return {
    take(at) {
      refill(at);
      if (rate <= 0) return Number.POSITIVE_INFINITY;
      // Tolerates the rounding of a wait that was computed from the very rate it is measured against.
      if (tokens >= 1 - 1e-9) {
        tokens = Math.max(0, tokens - 1);
        return 0;
      }
      return ((1 - tokens) / rate) * 1000;
    },
    setRate(next, at) {
      refill(at);
      rate = next;
      tokens = Math.min(tokens, burst());
    },
  };
}
