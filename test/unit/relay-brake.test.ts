import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createBrake } from "../../src/relay/brake.ts";

function brakeOf(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 0;
  const pass = async (milliseconds: number): Promise<void> => {
    now += milliseconds;
    t.mock.timers.tick(milliseconds);
    await nextTurn();
  };
  return { brake: createBrake(() => now), pass };
}

const ended = async (wait: Promise<void> | undefined): Promise<boolean> => {
  assert.ok(wait, "nobody waits");
  let isOver = false;
  wait.then(() => {
    isOver = true;
  });
  await nextTurn();
  return isOver;
};

describe("the brake", () => {
  test("holds from thousands of waiting events on, until about half of them are through", async (t) => {
    const { brake } = brakeOf(t);
    brake.add(2_000);
    assert.equal(brake.wait(), undefined);
    brake.add(1);
    const waits = [brake.wait(), brake.wait()];
    brake.add(-1_000);
    assert.equal(await ended(waits[0]), false);
    brake.add(-1);
    for (const wait of waits) assert.equal(await ended(wait), true);
    assert.equal(brake.wait(), undefined);
    brake.add(1_000);
    assert.equal(brake.wait(), undefined);
    brake.add(2);
    assert.equal(await ended(brake.wait()), false);
  });

  test("that was in vain is off for a while, for all who read: Kafka is away, and the environments may not be", async (t) => {
    const { brake, pass } = brakeOf(t);
    brake.add(10_000);
    const inVain = brake.wait();
    await pass(499);
    assert.equal(await ended(inVain), false);
    await pass(1);
    assert.equal(await ended(inVain), true);
    for (let partition = 0; partition < 24; partition++) assert.equal(brake.wait(), undefined);
    await pass(249);
    assert.equal(brake.wait(), undefined);
    await pass(1);
    const again = brake.wait();
    brake.add(-10_000);
    assert.equal(await ended(again), true);
    // That one wasn't in vain.
    await pass(250);
    brake.add(10_000);
    assert.equal(await ended(brake.wait()), false);
  });
});
