import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Concurrency, createConcurrency } from "../../src/delivery/concurrency.ts";

const MAX = 64;

const concurrencyOf = (rate = 100, max = MAX): Concurrency => {
  const concurrency = createConcurrency(max);
  concurrency.setRate(rate);
  return concurrency;
};

/** One window after another: as many answers of this latency as the limit allows in flight; `heldBack`, more would be sent. */
const createWindows = (concurrency: Concurrency) => {
  let now = 0;
  return {
    get now() {
      return now;
    },
    skip(milliseconds: number): void {
      now += milliseconds;
    },
    pass(latency: number, { heldBack = true, inFlight = MAX, count = 1 } = {}): void {
      for (let window = 0; window < count; window++) {
        const startedAt = now;
        now += latency;
        const answers = Math.min(32, Math.max(8, concurrency.limit()));
        if (heldBack) concurrency.heldBack();
        concurrency.started(Math.min(inFlight, concurrency.limit()));
        for (let answer = 0; answer < answers; answer++) concurrency.answered(startedAt, now);
        now++;
      }
    },
  };
};

describe("concurrency", () => {
  test("starts at twice rate × latency and one, for an assumed latency of 500 ms, within what is configured", () => {
    assert.equal(concurrencyOf(10).limit(), 11);
    assert.equal(concurrencyOf(100).limit(), 64);
    assert.equal(concurrencyOf(100, 5).limit(), 5);
    assert.equal(concurrencyOf(0).limit(), 1);
  });

  test("the first answers' latency takes the place of the assumed one", () => {
    const concurrency = concurrencyOf();
    const windows = createWindows(concurrency);
    windows.pass(100);
    assert.equal(concurrency.limit(), 21);
    assert.equal(concurrency.latency(), 100);
  });

  test("allows for the whole quota on a slow link", () => {
    const concurrency = concurrencyOf(100, 500);
    createWindows(concurrency).pass(2_000);
    assert.equal(concurrency.limit(), 401);
  });

  test("grows only while it is what holds requests back: by one beyond what the law says", () => {
    const concurrency = concurrencyOf();
    const windows = createWindows(concurrency);
    windows.pass(100);
    windows.pass(100, { heldBack: false, count: 20 });
    assert.equal(concurrency.limit(), 21);
    windows.pass(100, { count: 3 });
    assert.equal(concurrency.limit(), 24);
    windows.pass(100, { count: 100 });
    assert.equal(concurrency.limit(), MAX);
  });

  test("a failure takes a tenth, once for all that was sent under the same limit, and never the last one", () => {
    const concurrency = concurrencyOf();
    const windows = createWindows(concurrency);
    windows.pass(100);
    const { now } = windows;
    for (let count = 0; count < 20; count++) concurrency.failed(now, now + 100);
    assert.equal(concurrency.limit(), 18);
    concurrency.failed(now + 100, now + 200);
    assert.equal(concurrency.limit(), 16);
    for (let at = now + 201; at < now + 300; at++) concurrency.failed(at, at);
    assert.equal(concurrency.limit(), 1);
  });

  test("below what the law says it grows by a tenth", () => {
    const concurrency = concurrencyOf(200);
    const windows = createWindows(concurrency);
    windows.pass(150);
    assert.equal(concurrency.limit(), 61);
    for (let count = 0, at = windows.now; count < 10; count++, at += 2) concurrency.failed(at, at + 1);
    const low = concurrency.limit();
    windows.skip(100);
    windows.pass(150, { count: 2 });
    assert.ok(low < 30 && concurrency.limit() > low + 3, `${low} to ${concurrency.limit()}`);
  });

  test("answers that queue bring it down until they don't", () => {
    const concurrency = concurrencyOf();
    const windows = createWindows(concurrency);
    windows.pass(100);
    // Six at a time; the rest wait.
    for (let count = 0; count < 60; count++) windows.pass(Math.max(100, (concurrency.limit() * 100) / 6));
    assert.ok(concurrency.limit() >= 6 && concurrency.limit() <= 10, `${concurrency.limit()}`);
    assert.equal(concurrency.latency(), 100);
  });

  test("a link that is slower by itself is tried with less, and then gets what its latency takes", () => {
    const concurrency = concurrencyOf();
    const windows = createWindows(concurrency);
    windows.pass(100);
    windows.pass(400);
    assert.equal(concurrency.limit(), 21, "it might be a queue that still grows");
    windows.pass(400);
    assert.equal(concurrency.limit(), 14, "the trial");
    windows.pass(400);
    assert.equal(concurrency.limit(), MAX);
    assert.equal(concurrency.latency(), 400);
  });

  test("what is slow with few in flight and nothing held back is the usual, and takes nothing from the limit", () => {
    const concurrency = concurrencyOf();
    const windows = createWindows(concurrency);
    windows.pass(100, { heldBack: false, inFlight: 2 });
    for (let count = 0; count < 20; count++) {
      windows.pass(180, { heldBack: false, inFlight: 2 });
      assert.equal(concurrency.latency(), 180);
      windows.pass(100, { heldBack: false, inFlight: 2, count: 10 });
    }
    assert.equal(concurrency.limit(), 21);
  });

  test("what is slow with many in flight takes nothing from a limit that nothing came up against, and isn't the usual", () => {
    const concurrency = concurrencyOf();
    const windows = createWindows(concurrency);
    windows.pass(100, { heldBack: false });
    windows.pass(180, { heldBack: false, inFlight: 12, count: 20 });
    assert.equal(concurrency.limit(), 21);
    assert.equal(concurrency.latency(), 100);
  });

  test("a slow answer or two among many change nothing", () => {
    const concurrency = concurrencyOf();
    const windows = createWindows(concurrency);
    windows.pass(100, { heldBack: false });
    for (let count = 0; count < 50; count++) {
      const { now } = windows;
      for (let slow = 0; slow < 2; slow++) concurrency.answered(now, now + 30_000);
      windows.pass(100, { heldBack: false });
    }
    assert.equal(concurrency.limit(), 21);
  });

  test("is back at what the law says after an outage, and failures of requests from before don't count", () => {
    const concurrency = concurrencyOf();
    const windows = createWindows(concurrency);
    windows.pass(100);
    for (let at = windows.now; at < windows.now + 50; at++) concurrency.failed(at, at);
    assert.equal(concurrency.limit(), 1);
    concurrency.restart(10_000);
    assert.equal(concurrency.limit(), 21);
    concurrency.failed(9_999, 10_100);
    assert.equal(concurrency.limit(), 21);
  });

  test("another share of the quota asks the law again", () => {
    const concurrency = concurrencyOf();
    const windows = createWindows(concurrency);
    windows.pass(100);
    concurrency.setRate(33);
    assert.equal(concurrency.limit(), 8);
    concurrency.setRate(100);
    assert.equal(concurrency.limit(), 21);
  });

  test("in any history it is from 1 to the most, a failure never raises it, and it stays within what it was unless it held back", () => {
    const step = fc.record({
      kind: fc.constantFrom("answered", "answered", "answered", "failed", "heldBack", "restart"),
      pause: fc.integer({ min: 0, max: 500 }),
      latency: fc.integer({ min: 1, max: 5_000 }),
      inFlight: fc.integer({ min: 1, max: MAX }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: MAX }),
        fc.double({ min: 0, max: 10_000, noNaN: true }),
        fc.boolean(),
        fc.array(step, { maxLength: 300, size: "max" }),
        (max, rate, mayHoldBack, history) => {
          const concurrency = concurrencyOf(rate, max);
          let now = 0;
          let most = concurrency.limit();
          for (const { kind, pause, latency, inFlight } of history) {
            now += pause;
            concurrency.started(inFlight);
            const before = concurrency.limit();
            const wasMeasured = concurrency.latency() !== undefined;
            if (kind === "answered") concurrency.answered(now - latency, now);
            if (kind === "failed") concurrency.failed(now - latency, now);
            if (kind === "heldBack" && mayHoldBack) concurrency.heldBack();
            if (kind === "restart") concurrency.restart(now);
            const limit = concurrency.limit();
            assert.ok(Number.isInteger(limit) && limit >= 1 && limit <= max);
            if (kind === "failed") assert.ok(limit <= before);
            if (kind === "restart" || !wasMeasured) most = Math.max(most, limit);
            if (!mayHoldBack) assert.ok(limit <= most);
          }
        },
      ),
    );
  });
});
