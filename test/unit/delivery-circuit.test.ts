import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { CLOSED_MESSAGES, createCircuit } from "../../src/delivery/circuit.ts";

const LIMITS = { initialBackoff: 1_000, maxBackoff: 8_000 };
/** Without jitter: every wait is at its longest. */
const circuitOf = () => createCircuit(LIMITS, () => 1);

describe("circuit", () => {
  test("is open at first, for as many requests as may run at once", () => {
    const circuit = circuitOf();
    assert.equal(circuit.allowed(64, 0), 64);
    assert.equal(circuit.closure(), undefined);
  });

  test("four failures in a row leave it open, the fifth closes it", () => {
    const circuit = circuitOf();
    for (let count = 0; count < 4; count++) circuit.failed("unavailable", 0);
    assert.equal(circuit.allowed(64, 0), 64);
    circuit.failed("unavailable", 0);
    assert.equal(circuit.allowed(64, 0), 0);
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
    assert.equal(circuit.allowed(64, 999), 0);
    assert.equal(circuit.allowed(64, 1_000), 1);
    circuit.failed("unavailable", 1_000);
    assert.equal(circuit.allowed(64, 2_999), 0);
    assert.equal(circuit.allowed(64, 3_000), 1);
    assert.equal(circuit.succeeded(3_000), true);
    assert.equal(circuit.allowed(64, 3_000), 64);
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
    assert.equal(circuit.allowed(64, 60_019), 0);
    assert.equal(circuit.allowed(64, 60_020), 1);
  });

  test("a straggler's success doesn't open it before the time that the environment named", () => {
    const circuit = circuitOf();
    circuit.close("retry_after", 0, 30_000);
    assert.equal(circuit.succeeded(10), false);
    assert.equal(circuit.allowed(64, 29_999), 0);
    assert.equal(circuit.succeeded(30_000), true);
    assert.equal(circuit.allowed(64, 30_000), 64);
  });

  test("a straggler's success does open it when only failures had closed it", () => {
    const circuit = circuitOf();
    circuit.close("unavailable", 0);
    assert.equal(circuit.succeeded(10), true);
    assert.equal(circuit.allowed(64, 10), 64);
  });

  test("in any history: nothing before a named time, one request at most while closed, all when open", () => {
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
          const circuit = createCircuit(LIMITS, () => randoms.next().value ?? 0);
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
            if (now < heldUntil) assert.equal(circuit.allowed(64, now), 0);
            const allowed = circuit.allowed(64, now);
            assert.equal(allowed, closure === undefined ? 64 : now < closure.until ? 0 : 1);
            if (closure !== undefined) assert.ok(closure.until - now <= 10_000, "it is always probed again");
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test("every reason has a message that says what happened", () => {
    for (const [reason, message] of Object.entries(CLOSED_MESSAGES)) {
      assert.match(message, /^lane closed: the (environment|token server) /, reason);
    }
  });
});
