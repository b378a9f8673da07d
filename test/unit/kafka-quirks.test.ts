import assert from "node:assert/strict";
import { test } from "node:test";
import RequestQueue from "kafkajs/src/network/requestQueue/index.js";
import { mendRequestQueue } from "../../src/kafka/quirks.ts";

function queueOf(pending: unknown[], throttledUntil: number) {
  mendRequestQueue();
  let checks = 0;
  const queue = Object.assign(Object.create(RequestQueue.prototype) as typeof RequestQueue.prototype, {
    pending,
    throttledUntil,
    throttleCheckTimeoutId: null,
    checkPendingRequests: () => {
      checks += 1;
    },
  });
  return { queue, checks: () => checks };
}

test("kafkajs sets no timer of negative length, and none at all for nothing", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const idle = queueOf([], -1);
  idle.queue.scheduleCheckPendingRequests();
  assert.equal(idle.queue.throttleCheckTimeoutId, null);

  const busy = queueOf(["request"], -1);
  busy.queue.scheduleCheckPendingRequests();
  busy.queue.scheduleCheckPendingRequests();
  t.mock.timers.tick(9);
  assert.equal(busy.checks(), 0);
  t.mock.timers.tick(1);
  assert.equal(busy.checks(), 1);
  assert.equal(busy.queue.throttleCheckTimeoutId, null);
});

test("queued requests wait for the end of a throttle", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const throttled = queueOf(["request"], 1_000_500);
  throttled.queue.scheduleCheckPendingRequests();
  t.mock.timers.tick(499);
  assert.equal(throttled.checks(), 0);
  t.mock.timers.tick(1);
  assert.equal(throttled.checks(), 1);
});
