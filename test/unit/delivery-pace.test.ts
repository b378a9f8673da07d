import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createPace, type Pace } from "../../src/delivery/pace.ts";

const paceOf = (quota = 100): Pace => {
  const pace = createPace(0);
  pace.setQuota(quota, 0);
  return pace;
};

/** Says of so many requests that they were taken. */
const take = (pace: Pace, count: number): void => {
  for (let taken = 0; taken < count; taken++) pace.accepted();
};

const near = (actual: number, expected: number, by = 1e-9): void =>
  assert.ok(Math.abs(actual - expected) <= by, `${actual} isn't near ${expected}`);

describe("pace", () => {
  test("is the whole quota as long as no answer is 429", () => {
    const pace = paceOf();
    take(pace, 1_000);
    assert.deepEqual([pace.factor(0), pace.factor(1e9), pace.rate(1e9)], [1, 1, 100]);
  });

  test("a 429 before anything was measured leaves seven tenths", () => {
    const pace = paceOf();
    pace.throttled(0, 100);
    near(pace.factor(100), 0.7);
    near(pace.rate(100), 70);
  });

  test("of many 429s to requests of one pace the first counts", () => {
    const pace = paceOf();
    for (let startedAt = 0; startedAt < 100; startedAt++) pace.throttled(startedAt, 100);
    near(pace.factor(100), 0.7);
    pace.throttled(101, 200);
    assert.ok(pace.factor(200) < 0.5, "a later one counts again");
  });

  test("one stray 429 at the full rate costs little more than a request in a hundred of the next ten seconds", () => {
    const pace = paceOf();
    take(pace, 1_000);
    pace.throttled(9_999, 10_000);
    near(pace.factor(10_000), 0.9);
    let sent = 0;
    for (let at = 10_000; at < 20_000; at += 10) sent += pace.rate(at) / 100;
    assert.ok(sent > 985, `${sent} of 1000`);
    assert.equal(pace.factor(20_000), 1);
  });

  test("what was taken between two 429s is where it goes on, so that half a quota is found at the second", () => {
    const pace = paceOf();
    take(pace, 100);
    pace.throttled(999, 1_000);
    take(pace, 150);
    pace.throttled(3_999, 4_000);
    near(pace.factor(4_000), 0.475, 0.025);
  });

  test("climbs fast, then flat at the wall, then on to the whole quota", () => {
    const pace = paceOf();
    take(pace, 500);
    pace.throttled(9_999, 10_000);
    const wall = 0.75;
    const flatAfter = Math.cbrt((wall - 0.5) / 0.001);
    near(pace.factor(10_000), 0.5);
    near(pace.factor(10_000 + flatAfter * 1_000), wall);
    const gain = (from: number, to: number): number =>
      pace.factor(10_000 + to * 1_000) - pace.factor(10_000 + from * 1_000);
    assert.ok(gain(0, 1) > 5 * gain(flatAfter - 1, flatAfter + 1));
    assert.ok(gain(flatAfter + 3, flatAfter + 4) > 5 * gain(flatAfter - 1, flatAfter + 1));
    assert.equal(pace.factor(10_000 + 2 * flatAfter * 1_000), 1);
  });

  test("a wall found again where it was makes the climb flatter; found elsewhere, as steep as at first", () => {
    const secondsToWhole = (walls: readonly number[]): number => {
      const pace = paceOf();
      let now = 0;
      for (const rate of walls) {
        now += 10_000;
        take(pace, rate * 10);
        pace.throttled(now, now);
      }
      let seconds = 0;
      while (pace.factor(now + seconds * 1_000) < 1) seconds++;
      return seconds;
    };
    const once = secondsToWhole([100, 50]);
    const twice = secondsToWhole([100, 50, 50]);
    const often = secondsToWhole([100, ...Array.from({ length: 20 }, () => 50)]);
    assert.ok(once < twice && twice < often, `${once} s, ${twice} s, ${often} s`);
    assert.ok(often < 120, "two minutes at most, once the quota is back");
    assert.ok(secondsToWhole([100, 50, 50, 50, 30]) < twice);
  });

  test("a rebalance keeps the factor and changes the rate", () => {
    const pace = paceOf(90);
    pace.throttled(0, 0);
    pace.setQuota(30, 0);
    near(pace.factor(0), 0.7);
    near(pace.rate(0), 21);
    take(pace, 10);
    pace.setQuota(60, 2_000);
    // What was taken under another quota is no measure of this one.
    pace.throttled(2_000, 3_000);
    assert.ok(pace.factor(3_000) > 0.5, "seven tenths of it, as if nothing were known");
  });

  test("doesn't climb while the lane is closed", () => {
    const pace = paceOf();
    pace.throttled(0, 1_000);
    pace.resumed(60_000, 61_000);
    near(pace.factor(61_000), 0.7);
    assert.ok(pace.factor(62_000) > 0.7);
  });

  test("in any history the factor is above 0 and at most 1, a 429 never raises it, and time without one never lowers it", () => {
    const step = fc.record({
      kind: fc.constantFrom("accepted", "throttled", "late", "resumed", "quota"),
      pause: fc.integer({ min: 0, max: 20_000 }),
      amount: fc.integer({ min: 0, max: 300 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: "max" }), (history) => {
        const pace = paceOf();
        let now = 0;
        for (const { kind, pause, amount } of history) {
          const before = pace.factor(now);
          now += pause;
          assert.ok(pace.factor(now) >= before);
          const reached = pace.factor(now);
          if (kind === "accepted") take(pace, amount);
          if (kind === "throttled") pace.throttled(now, now);
          if (kind === "late") pace.throttled(now - 1_000_000_000, now);
          if (kind === "resumed") pace.resumed(Math.min(pause, amount * 10), now);
          if (kind === "quota") pace.setQuota(amount, now);
          const factor = pace.factor(now);
          assert.ok(factor > 0 && factor <= reached && Number.isFinite(factor), `${factor}`);
        }
        assert.equal(pace.factor(now + 600_000), 1, "nothing is held against an environment for ever");
      }),
    );
  });
});
