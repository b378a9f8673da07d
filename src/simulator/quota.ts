/** A token bucket that holds one second's worth of requests. */
export interface Quota {
  /**
   * Takes one request out of the bucket.
   * @returns 0 if it was admitted, else the milliseconds until there is room for one
   */
  take(requestsPerSecond: number): number;
}

export const createQuota = (clock: () => number): Quota => {
  // The first request finds it full, whatever the rate is by then.
  let room = Number.POSITIVE_INFINITY;
  let filledAt = clock();

  return {
    take(requestsPerSecond) {
      const now = clock();
      const refill = (Math.max(0, now - filledAt) / 1000) * requestsPerSecond;
      // A rate under one a second still admits a request now and then.
      room = Math.min(Math.max(1, requestsPerSecond), room + refill);
      filledAt = now;
      if (room >= 1) {
        room -= 1;
        return 0;
      }
      return ((1 - room) / requestsPerSecond) * 1000;
    },
  };
};
