import assert from "node:assert/strict";

/** Milliseconds: shorter measurements tell more of the machine than of the work. */
const TELLING_MS = 10;
/** Between linear (2) and quadratic (4). */
const MAX_RATIO = 3;
const ROUNDS = 4;
/** Sizes in a row that take too much more; fewer, if it takes so many milliseconds that nothing else can be the reason. */
const FAILURES = 3;
const CERTAIN_MS = 60;

/** Milliseconds of this process: those of others on the machine don't count. */
const elapsed = (work: () => void): number => {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
};

/** The least of several: a measurement can only be disturbed upwards. Each is taken beside that of the other size. */
function compare(half: () => void, whole: () => void): { half: number; whole: number } {
  const least = { half: Number.POSITIVE_INFINITY, whole: Number.POSITIVE_INFINITY };
  for (let round = 0; round < ROUNDS; round += 1) {
    least.half = Math.min(least.half, elapsed(half));
    least.whole = Math.min(least.whole, elapsed(whole));
    if (round > 0 && least.whole / least.half <= MAX_RATIO) break;
  }
  return least;
}

/**
 * That an input of twice the size takes about twice the time. Sizes are doubled from `from` on until the work takes long
 * enough to be compared; if it never does up to `to`, the largest size that there can be, nothing has to be. What seems to
 * take more is looked at in larger sizes: a cache that is too small shows once, what is quadratic shows in all of them.
 */
export function assertLinear(
  what: string,
  work: (size: number) => () => void,
  { from = 1_000, to }: { from?: number; to: number },
): void {
  let half = work(from);
  let seen = "";
  let failures = 0;
  for (let size = from; failures < FAILURES; size *= 2) {
    const whole = work(size * 2);
    const isTelling = failures > 0 || (elapsed(half) >= TELLING_MS && elapsed(half) >= TELLING_MS);
    if (isTelling) {
      const times = compare(half, whole);
      if (times.whole / times.half <= MAX_RATIO) return;
      failures += times.half > CERTAIN_MS ? FAILURES : 1;
      seen += `; ${times.half.toFixed(1)} ms for ${size}, ${times.whole.toFixed(1)} ms for twice as much`;
    } else if (size >= to) {
      return;
    }
    half = whole;
  }
  assert.fail(`${what} takes more than linear time${seen}`);
}
