import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { createFairQueue } from "../../src/delivery/fair-queue.ts";

const drain = <T>(queue: { shift(): T | undefined }): T[] => {
  const items: T[] = [];
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) items.push(item);
  return items;
};

describe("fair queue", () => {
  test("partitions take turns; within one, first in is first out", () => {
    const queue = createFairQueue<string>();
    for (const item of ["a1", "a2", "a3", "a4"]) queue.push(0, item);
    queue.push(1, "b1");
    queue.push(2, "c1");
    queue.push(2, "c2");
    assert.deepEqual(drain(queue), ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]);
    assert.equal(queue.size, 0);
    assert.equal(queue.shift(), undefined);
  });

  test("an item put back goes before the others of its partition", () => {
    const queue = createFairQueue<string>();
    for (const item of ["a1", "a2", "a3"]) queue.push(0, item);
    queue.push(1, "b1");
    const first = queue.shift();
    assert.equal(first, "a1");
    queue.pushFront(0, "a1");
    queue.pushFront(0, "a0");
    assert.deepEqual(drain(queue), ["b1", "a0", "a1", "a2", "a3"]);
  });

  test("it holds what a plain list per partition would, after any sequence of calls", () => {
    const call = fc.oneof(
      fc.record({ kind: fc.constant("push" as const), partition: fc.nat({ max: 3 }) }),
      fc.record({ kind: fc.constant("pushFront" as const), partition: fc.nat({ max: 3 }) }),
      fc.record({ kind: fc.constant("shift" as const), partition: fc.constant(0) }),
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("clear" as const), partition: fc.constant(0) }) },
    );
    fc.assert(
      fc.property(fc.array(call, { maxLength: 200 }), (calls) => {
        const queue = createFairQueue<{ partition: number; id: number }>();
        const lists = new Map<number, number[]>();
        const listOf = (partition: number): number[] => {
          const list = lists.get(partition) ?? [];
          lists.set(partition, list);
          return list;
        };
        for (const [id, { kind, partition }] of calls.entries()) {
          if (kind === "push") {
            queue.push(partition, { partition, id });
            listOf(partition).push(id);
          } else if (kind === "pushFront") {
            queue.pushFront(partition, { partition, id });
            listOf(partition).unshift(id);
          } else if (kind === "clear") {
            queue.clear();
            lists.clear();
          } else {
            const item = queue.shift();
            const hasAny = [...lists.values()].some((list) => list.length > 0);
            assert.equal(item !== undefined, hasAny);
            if (item !== undefined) assert.equal(listOf(item.partition).shift(), item.id);
          }
          assert.equal(
            queue.size,
            [...lists.values()].reduce((sum, list) => sum + list.length, 0),
          );
        }
      }),
    );
  });

  test("no partition waits longer than one turn of every other", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }), (sizes) => {
        const queue = createFairQueue<number>();
        for (const [partition, size] of sizes.entries()) {
          for (let count = 0; count < size; count++) queue.push(partition, partition);
        }
        const left = [...sizes];
        const order = drain(queue);
        const lastTurn = new Map<number, number>();
        for (const [turn, partition] of order.entries()) {
          const waited = turn - (lastTurn.get(partition) ?? -1) - 1;
          assert.ok(waited < left.length, `partition ${partition} waited for ${waited} others`);
          lastTurn.set(partition, turn);
        }
        assert.equal(
          order.length,
          sizes.reduce((sum, size) => sum + size, 0),
        );
      }),
    );
  });

  test("a queue that is never empty doesn't keep what it gave away", async () => {
    setFlagsFromString("--expose-gc");
    const collectGarbage: () => void = runInNewContext("gc");
    const queue = createFairQueue<object>();
    const given: WeakRef<object>[] = [];
    for (let count = 0; count < 500; count++) queue.push(0, { count });
    for (let count = 0; count < 400; count++) given.push(new WeakRef(queue.shift() ?? {}));
    await nextTurn();
    collectGarbage();
    assert.equal(given.filter((reference) => reference.deref() !== undefined).length, 0);
    assert.equal(queue.size, 100);
  });

  test("a hundred thousand items are taken in no time, also when many were put back", () => {
    const queue = createFairQueue<number>();
    for (let item = 0; item < 100_000; item++) queue.push(0, item);
    for (let item = 0; item < 100_000; item++) {
      assert.equal(queue.shift(), item);
      if (item % 10 === 0) {
        queue.pushFront(0, item);
        assert.equal(queue.shift(), item);
      }
    }
    assert.equal(queue.size, 0);
  });
});
