import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { createBatchBuilder } from "../../src/batching/batch.ts";
import { createBacklog } from "../../src/delivery/backlog.ts";
import { type Part, partsOf } from "../../src/delivery/parts.ts";
import { optOut, phoneOf, recordAt, SCOPE } from "./batching-arbitraries.ts";

/** A batch about these phones, in one part; each year makes another wish. */
const partOf = (year: number, ...phones: number[]): Part => {
  const builder = createBatchBuilder(SCOPE);
  phones.forEach((phone, index) => {
    const expiresAt = `${year}-01-01T00:00:00Z`;
    builder.add(recordAt(index), optOut({ phone: phoneOf(phone), expiresAt }));
  });
  const batch = builder.build();
  const [part] = partsOf({ scope: SCOPE, batch, split: "pending", onSplit() {}, done() {} }, 100, () => {});
  assert.ok(part);
  return part;
};

const backlogOf = (t: TestContext, ...parts: Part[]) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const backlog = createBacklog(() => {});
  for (const part of parts) backlog.push(part);
  return backlog;
};

describe("backlog", () => {
  test("those released go before the others of their partition, first come first", (t) => {
    const first = partOf(2030, 1, 2);
    const [second, third, last] = [partOf(2031, 1), partOf(2032, 2), partOf(2033, 3)];
    const backlog = backlogOf(t, first, second, third);
    assert.equal(backlog.shift(), first);
    assert.equal(backlog.shift(), undefined);
    assert.deepEqual([backlog.ready, backlog.heldBack], [0, 2]);
    backlog.push(last);
    backlog.release(first, first);
    assert.deepEqual([backlog.ready, backlog.heldBack], [3, 0]);
    assert.deepEqual([backlog.shift(), backlog.shift(), backlog.shift()], [second, third, last]);
  });

  test("a part whose entries are released one by one holds back until the last that matters", (t) => {
    const first = partOf(2030, 1, 2, 3);
    const second = partOf(2031, 1, 3);
    const backlog = backlogOf(t, first, second);
    assert.deepEqual([backlog.shift(), backlog.shift()], [first, undefined]);
    backlog.release(first, { from: 0, to: 2 });
    assert.equal(backlog.shift(), undefined);
    backlog.release(first, { from: 2, to: 3 });
    assert.equal(backlog.shift(), second);
  });

  test("a part put back, at once or after a delay, is still the first of its phones", (t) => {
    const [first, second] = [partOf(2030, 1), partOf(2031, 1)];
    const backlog = backlogOf(t, first, second);
    assert.deepEqual([backlog.shift(), backlog.shift()], [first, undefined]);
    backlog.pushFront(first);
    assert.equal(backlog.shift(), first);
    backlog.delay(first, 1_000);
    t.mock.timers.tick(1_000);
    assert.deepEqual([backlog.shift(), backlog.shift()], [first, undefined]);
  });

  test("a part that was released unfinished queues up again, also if it is taken before its delay is over", (t) => {
    const [first, second] = [partOf(2030, 1), partOf(2031, 1)];
    const backlog = backlogOf(t, first, second);
    assert.deepEqual([backlog.shift(), backlog.shift()], [first, undefined]);
    backlog.release(first, first);
    backlog.delay(first, 1_000);
    assert.equal(backlog.shift(), second);
    assert.equal(backlog.shiftDelayed(), undefined);
    assert.deepEqual([backlog.delayed, backlog.heldBack], [0, 1]);
    backlog.release(second, second);
    assert.equal(backlog.shift(), first);
  });
});
