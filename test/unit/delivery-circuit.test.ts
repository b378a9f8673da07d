import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { CLOSED_MESSAGES, createCircuit } from "../../src/delivery/circuit.ts";

const LIMITS = { initialBackoff: 1_000, maxBackoff: 8_000 };
/** Without jitter: every wait is at its longest. At a rate of 0 even one probe would be too much: no bound to the backoff. */
const circuitOf = (rate = 0) =>
  createCircuit({ retry: LIMITS, requestsPerSecond: () => rate, random: () => 1 });

describe("circuit", () => {
  test("is open at first", () => {
    const circuit = circuitOf();
    assert.equal(circuit.wait(0), 0);
    assert.equal(circuit.closure(), undefined);
  });

  test("four failures in a row leave it open, the fifth closes it", () => {
    const circuit = circuitOf();
    for (let count = 0; count < 4; count++) circuit.failed("unavailable", 0);
    assert.equal(circuit.wait(0), 0);
    circuit.failed("unavailable", 0);
    assert.equal(circuit.wait(0), 1_000);
    assert.deepEqual(circuit.closure(), { reason: "unavailable", since: 0, until: 1_000 });
  });

  test("failures with successes between never close it", () => {
    const circuit = circuitOf();
    for (let count = 0; count < 100; count++) {
      circuit.failed("unavailable", count);
      if (count % 4 === 3) assert.equal(circuit.succeeded(count), false, "it was open all the time");
    }
    assert.equal(circuit.closure(), undefined);
  });

  test("when its time has passed, one request may probe; its success opens, its failure closes for longer", () => {
    const circuit = circuitOf();
    circuit.close("misconfigured", 0);
    assert.equal(circuit.wait(999), 1);
    assert.equal(circuit.wait(1_000), 0);
    circuit.failed("unavailable", 1_000);
    assert.equal(circuit.wait(2_999), 1);
    assert.equal(circuit.wait(3_000), 0);
    assert.equal(circuit.succeeded(3_000), true);
    assert.equal(circuit.wait(3_000), 0);
    circuit.close("misconfigured", 4_000);
    assert.equal(circuit.closure()?.until, 5_000, "after a success, the backoff starts anew");
  });

  test("the backoff doubles with every closing, up to the cap, without end", () => {
    const circuit = circuitOf();
    const waits: number[] = [];
    let now = 0;
    for (let count = 0; count < 2_000; count++) {
      circuit.close("unavailable", now);
      const until = circuit.closure()?.until ?? 0;
      waits.push(until - now);
      now = until;
    }
    assert.deepEqual(waits.slice(0, 5), [1_000, 2_000, 4_000, 8_000, 8_000]);
    assert.ok(waits.slice(5).every((wait) => wait === 8_000));
    assert.equal(circuit.closure()?.since, 0);
  });

  test("stragglers that fail while it is closed don't prolong it", () => {
    const circuit = circuitOf();
    circuit.close("unavailable", 0);
    for (let now = 1; now < 1_000; now += 10) {
      circuit.failed("unavailable", now);
      circuit.close("misconfigured", now);
    }
    assert.deepEqual(circuit.closure(), { reason: "unavailable", since: 0, until: 1_000 });
  });

  test("a wait that the environment asks for is kept to the millisecond, and the longest counts", () => {
    const circuit = circuitOf();
    circuit.close("retry_after", 0, 30_000);
    assert.equal(circuit.closure()?.until, 30_000);
    circuit.close("retry_after", 10, 5_000);
    assert.equal(circuit.closure()?.until, 30_000);
    circuit.close("retry_after", 20, 60_000);
    assert.deepEqual(circuit.closure(), { reason: "retry_after", since: 0, until: 60_020 });
    assert.equal(circuit.wait(60_019), 1);
    assert.equal(circuit.wait(60_020), 0);
  });

  test("a straggler's success doesn't open it before the time that the environment named", () => {
    const circuit = circuitOf();
    circuit.close("retry_after", 0, 30_000);
    assert.equal(circuit.succeeded(10), false);
    assert.equal(circuit.wait(29_999), 1);
    assert.equal(circuit.succeeded(30_000), true);
    assert.equal(circuit.wait(30_000), 0);
  });

  test("a straggler's success does open it when only failures had closed it", () => {
    const circuit = circuitOf();
    circuit.close("unavailable", 0);
    assert.equal(circuit.succeeded(10), true);
    assert.equal(circuit.wait(10), 0);
  });

  test("in any history: nothing before a named time, nothing but probes while closed, all when open", () => {
    const step = fc.record({
      kind: fc.constantFrom("failed", "succeeded", "close", "hold"),
      pause: fc.integer({ min: 0, max: 3_000 }),
      wait: fc.integer({ min: 1, max: 10_000 }),
    });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        (history, randoms) => {
          const circuit = createCircuit({
            retry: LIMITS,
            requestsPerSecond: () => 0,
            random: () => randoms.next().value ?? 0,
          });
          let now = 0;
          let heldUntil = 0;
          for (const { kind, pause, wait } of history) {
            now += pause;
            if (kind === "failed") circuit.failed("unavailable", now);
            if (kind === "succeeded") circuit.succeeded(now);
            if (kind === "close") circuit.close("misconfigured", now);
            if (kind === "hold") {
              circuit.close("retry_after", now, wait);
              heldUntil = Math.max(heldUntil, now + wait);
            }
            const closure = circuit.closure();
            if (now < heldUntil) {
              assert.ok(circuit.wait(now) >= heldUntil - now);
              assert.equal(circuit.admits(true, now), false);
            }
            assert.equal(circuit.wait(now), closure === undefined ? 0 : Math.max(0, closure.until - now));
            assert.equal(circuit.admits(false, now), closure === undefined);
            if (closure !== undefined) assert.ok(closure.until - now <= 10_000, "it is always probed again");
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test("what heals by itself is probed once a second, or for a twentieth of the rate, whatever the backoff's cap is", () => {
    const longest = (rate: number, maxBackoff: number): number => {
      const circuit = createCircuit({
        retry: { initialBackoff: 500, maxBackoff },
        requestsPerSecond: () => rate,
        random: () => 1,
      });
      let wait = 0;
      for (let count = 0, now = 0; count < 20; count++, now += wait) {
        circuit.close("unavailable", now);
        wait = circuit.wait(now);
      }
      return wait;
    };
    assert.equal(longest(100, 60_000), 1_000);
    assert.equal(longest(20, 60_000), 1_000);
    assert.equal(longest(5, 60_000), 4_000);
    assert.equal(longest(0.1, 60_000), 60_000);
    assert.equal(longest(100, 700), 700);
  });

  test("what takes people to mend keeps the configured backoff at any rate", () => {
    for (const reason of ["unauthorized", "misconfigured", "credentials_refused", "short_answers"] as const) {
      const circuit = circuitOf(100);
      let now = 0;
      for (let count = 0; count < 10; count++) {
        circuit.close(reason, now);
        now += circuit.wait(now);
      }
      circuit.close(reason, now);
      assert.equal(circuit.wait(now), LIMITS.maxBackoff, reason);
    }
  });

  test("a probe that hangs is followed by another after the probe interval, or as late as the latency asks for", () => {
    const circuit = circuitOf(100);
    circuit.close("unavailable", 0);
    assert.equal(circuit.wait(1_000), 0);
    circuit.probing(1_000, 0);
    assert.equal(circuit.wait(1_000), 1_000);
    assert.equal(circuit.wait(2_000), 0);
    circuit.probing(2_000, 4_000);
    assert.equal(circuit.wait(5_999), 1);
    assert.equal(circuit.wait(6_000), 0);
    assert.equal(circuit.succeeded(6_000), true);
    assert.equal(circuit.wait(6_000), 0);
  });

  test("a probe that has ended without a word on the environment is followed by another at once", () => {
    const circuit = circuitOf(100);
    circuit.close("unavailable", 0);
    circuit.probing(1_000, 30_000);
    circuit.probeEnded();
    assert.equal(circuit.wait(1_001), 0);
    circuit.close("retry_after", 1_001, 5_000);
    circuit.probeEnded();
    assert.equal(circuit.wait(1_001), 5_000, "but not before a time that was named");
  });

  test("tells when the next probe is due, also while one is on its way", () => {
    const circuit = circuitOf(100);
    circuit.close("unavailable", 0);
    circuit.probing(1_500, 4_000);
    assert.deepEqual(circuit.closure(), { reason: "unavailable", since: 0, until: 5_500 });
    circuit.probeEnded();
    assert.deepEqual(circuit.closure(), { reason: "unavailable", since: 0, until: 1_000 });
  });

  test("a probe that fails is followed by another after the backoff, however long it took", () => {
    const circuit = circuitOf(100);
    circuit.close("misconfigured", 0);
    circuit.probing(1_000, 30_000);
    circuit.close("misconfigured", 1_100);
    assert.equal(circuit.wait(1_100), 2_000);
  });

  test("while closed nothing may be sent but a probe, and no probe before the time that was named", () => {
    const circuit = circuitOf();
    assert.deepEqual([circuit.admits(false, 0), circuit.admits(true, 0)], [true, true]);
    circuit.close("unavailable", 0);
    assert.deepEqual([circuit.admits(false, 0), circuit.admits(true, 0)], [false, true]);
    circuit.close("retry_after", 0, 5_000);
    assert.deepEqual([circuit.admits(true, 4_999), circuit.admits(true, 5_000)], [false, true]);
  });

  test("every reason has a message that says what happened", () => {
    for (const [reason, message] of Object.entries(CLOSED_MESSAGES)) {
      assert.match(message, /^lane closed: the (environment|token server) /, reason);
    }
  });
});
