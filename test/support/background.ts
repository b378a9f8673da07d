export interface Background<Result> {
  /** Resolves with what it answers, or rejects with its failure. */
  stop(): Promise<Result>;
}

/** Something that goes on beside a test until it is stopped; it looks at the signal. */
export function inBackground<Result>(run: (signal: AbortSignal) => Promise<Result>): Background<Result> {
  const stopping = new AbortController();
  const running = run(stopping.signal);
  // A failure is reported by `stop`.
  running.catch(() => {});
  return {
    stop() {
      stopping.abort();
      return running;
    },
  };
}
