/** How late this process has been at its timers, at most: the requests that it sees may have come that much earlier. */
export interface LagWatch {
  /** Milliseconds. */
  stop(): number;
}

const EVERY_MS = 50;

export function watchLag(): LagWatch {
  let worst = 0;
  let expected = performance.now() + EVERY_MS;
  const timer = setInterval(() => {
    const now = performance.now();
    worst = Math.max(worst, now - expected);
    expected = now + EVERY_MS;
  }, EVERY_MS);
  return {
    stop() {
      clearInterval(timer);
      return worst;
    },
  };
}
