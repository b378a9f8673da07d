/** The delays of one environment's answers. */
export interface Latency {
  /** Waits `latencyMs` and up to `jitterMs` more, drawn evenly; not at all if both are 0. */
  wait(faults: { latencyMs: number; jitterMs: number }): Promise<void>;
  /** Ends the waits under way: the faults they came from are no more. */
  flush(): void;
}

export const createLatency = (random: () => number): Latency => {
  const pending = new Map<NodeJS.Timeout, () => void>();

  return {
    async wait({ latencyMs, jitterMs }) {
      const delay = latencyMs + (jitterMs > 0 ? jitterMs * random() : 0);
      if (delay === 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          pending.delete(timer);
          resolve();
        }, delay);
        pending.set(timer, resolve);
      });
    },
    flush() {
      for (const [timer, resolve] of pending) {
        clearTimeout(timer);
        resolve();
      }
      pending.clear();
    },
  };
};
