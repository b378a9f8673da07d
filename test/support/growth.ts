import assert from "node:assert/strict";

/** Milliseconds: shorter measurements tell more of the machine than of the work. */
const TELLING_MS = 10;
/** Between linear (2) and quadratic (4). */
const MAX_RATIO = 3;
const ROUNDS = 4;

/** Milliseconds of this process: those of others on the machine don't count. */
const elapsed = (work: () => void): number => {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
};

/**
 * That an input of twice the size takes about twice the time. Sizes are doubled from `from` on until the work takes long
 * enough to be compared; if it never does up to `to`, the largest size that there can be, nothing has to be.
 * A measurement can only be disturbed upwards, so the least of several counts, each taken beside that of the other size.
 */
export function assertLinear(
  what: string,
  work: (size: number) => () => void,
  { from = 1_000, to }: { from?: number; to: number },
): void {
  let size = from;
  let half = work(size);
  while (size < to && elapsed(half) < TELLING_MS) {
    size *= 2;
    half = work(size);
  }
  if (size >= to && elapsed(half) < TELLING_MS) return;
  const whole = work(size * 2);
  let [least, leastOfTwice] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let round = 0; round < ROUNDS; round += 1) {
    least = Math.min(least, elapsed(half));
    leastOfTwice = Math.min(leastOfTwice, elapsed(whole));
    if (round > 0 && leastOfTwice / least <= MAX_RATIO) return;
  }
  assert.fail(
    `${what}: ${least.toFixed(1)} ms for ${size}, ${leastOfTwice.toFixed(1)} ms for twice as much: more than linear`,
  );
}
