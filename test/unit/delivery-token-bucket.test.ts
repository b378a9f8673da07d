import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createTokenBucket } from "../../src/delivery/token-bucket.ts";

const burstOf = (rate: number): number => Math.max(1, rate * 0.1);

const rates = fc.oneof(
  fc.constantFrom(0.01, 0.5, 1, 3, 100, 10_000),
  fc.double({ min: 0.01, max: 10_000, noNaN: true }),
);
/** How long after the call before, in milliseconds; time may seem to run backwards. */
const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.double({ min: 0, max: 50, noNaN: true }) },
    { weight: 1, arbitrary: fc.double({ min: 0, max: 5_000, noNaN: true }) },
    { weight: 1, arbitrary: fc.double({ min: -500, max: 0, noNaN: true }) },
  ),
  { maxLength: 200, size: "max" },
);

/** Takes as many tokens as there are at every step; answers when each was taken, by the latest time seen. */
const takeAll = (bucket: { take(now: number): number }, moments: readonly number[], start = 0): number[] => {
  const takenAt: number[] = [];
  let now = start;
  let latest = start;
  for (const step of moments) {
    now += step;
    latest = Math.max(latest, now);
    while (bucket.take(now) === 0) takenAt.push(latest);
  }
  return takenAt;
};

describe("token bucket", () => {
  test("never gives more than its rate times the time, plus a burst, over any window", () => {
    fc.assert(
      fc.property(rates, steps, (rate, moments) => {
        const takenAt = takeAll(createTokenBucket(rate, 0), moments);
        for (let from = 0; from < takenAt.length; from += 7) {
          for (let to = from; to < takenAt.length; to += 5) {
            const seconds = ((takenAt[to] ?? 0) - (takenAt[from] ?? 0)) / 1000;
            assert.ok(
              to - from + 1 <= rate * seconds + burstOf(rate) + 1e-3,
              `${to - from + 1} in ${seconds} s`,
            );
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test("a wait it announced is enough, and a little less isn't", () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 0, max: 1_000_000 }), (rate, start) => {
        const bucket = createTokenBucket(rate, start);
        while (bucket.take(start) === 0);
        const wait = bucket.take(start);
        assert.ok(wait > 0 && wait <= 1000 / rate + 1e-6);
        assert.ok(bucket.take(start + wait * 0.999) > 0);
        // A timer is never more exact than this.
        assert.equal(bucket.take(start + wait + 0.001), 0);
      }),
    );
  });

  test("to ask how long it takes takes nothing", () => {
    const bucket = createTokenBucket(10, 0);
    assert.deepEqual([bucket.wait(0), bucket.wait(0), bucket.take(0)], [0, 0, 0]);
    assert.deepEqual([bucket.wait(0), bucket.wait(50), bucket.take(100)], [100, 50, 0]);
  });

  test("someone who takes whenever it says so gets the whole rate", () => {
    for (const rate of [0.5, 3, 100, 997, 10_000]) {
      const bucket = createTokenBucket(rate, 0);
      const duration = Math.max(10_000, 10_000 / rate);
      let now = 0;
      let taken = 0;
      while (now < duration) {
        const wait = bucket.take(now);
        if (wait === 0) taken++;
        now += wait;
      }
      const expected = (rate * duration) / 1000;
      assert.ok(
        taken >= Math.floor(expected) && taken <= expected + burstOf(rate) + 1,
        `${taken} at ${rate}`,
      );
    }
  });

  test("a long pause is followed by a burst of a tenth of a second, or of one token, not by a flood", () => {
    for (const [rate, burst] of [
      [100, 10],
      [5, 1],
      [0.01, 1],
    ] as const) {
      const bucket = createTokenBucket(rate, 0);
      assert.equal(takeAll(bucket, [86_400_000]).length, burst);
    }
  });

  test("a rate of 0 never gives a token, not even a first one or one left from before", () => {
    const bucket = createTokenBucket(0, 0);
    assert.equal(bucket.take(0), Number.POSITIVE_INFINITY);
    assert.equal(bucket.take(1e9), Number.POSITIVE_INFINITY);
    bucket.setRate(10, 1e9);
    assert.equal(bucket.take(1e9 + 1_000), 0);
    bucket.setRate(0, 2e9);
    assert.equal(bucket.take(2e9), Number.POSITIVE_INFINITY);
    assert.equal(bucket.take(3e9), Number.POSITIVE_INFINITY);
  });

  test("a rate change counts the time before at the old rate, and gives no tokens by itself", () => {
    const bucket = createTokenBucket(10, 0);
    assert.equal(bucket.take(0), 0);
    bucket.setRate(1_000, 50);
    // Half a token from the 50 ms at 10/s; the other half takes 0.5 ms at 1000/s.
    assert.ok(Math.abs(bucket.take(50) - 0.5) < 1e-9);
    const slower = createTokenBucket(1_000, 0);
    slower.setRate(1, 0);
    assert.deepEqual([slower.take(0), slower.take(0)], [0, 1_000]);
  });

  test("whatever the rate is changed to and when, no window holds more than the highest rate allows", () => {
    const changes = fc.array(fc.tuple(rates, steps), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(changes, (phases) => {
        const highest = Math.max(...phases.map(([rate]) => rate));
        const bucket = createTokenBucket(0, 0);
        let now = 0;
        let latest = 0;
        let taken = 0;
        for (const [rate, moments] of phases) {
          bucket.setRate(rate, now);
          for (const step of moments) {
            now += step;
            latest = Math.max(latest, now);
            while (bucket.take(now) === 0) taken++;
          }
        }
        assert.ok(taken <= (highest * latest) / 1000 + burstOf(highest) + 1e-3);
      }),
      { numRuns: 40 },
    );
  });
});
