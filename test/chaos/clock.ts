import { setTimeout as sleep } from "node:timers/promises";

/** A schedule's time. It stands still while something is waited for, so that a slow machine has the same schedule. */
export interface Clock {
  /** Milliseconds. */
  now(): number;
  until(time: number): Promise<void>;
  /** Stands still until the work is done. */
  hold(work: Promise<unknown>): Promise<void>;
}

const TICK_MS = 50;

export function createClock(): Clock {
  let passed = 0;
  let runsSince = performance.now();
  let holders = 0;
  const now = (): number => passed + (holders === 0 ? performance.now() - runsSince : 0);
  return {
    now,
    async until(time) {
      for (let left = time - now(); left > 0; left = time - now()) await sleep(Math.min(left, TICK_MS));
    },
    async hold(work) {
      passed = now();
      holders++;
      try {
        await work;
      } finally {
        holders--;
        runsSince = performance.now();
      }
    },
  };
}
