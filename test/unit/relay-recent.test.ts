import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createActivity } from "../../src/relay/activity.ts";
import { createRecent, RECENT } from "../../src/relay/recent.ts";
import type { BatchResults } from "../../src/relay/result-messages.ts";
import { ATTEMPTS_WITHIN_S, REQUESTS_WITHIN_S } from "../../src/relay/state-view.ts";
import type { StatusRecord } from "../../src/results/status.ts";

describe("what an environment was asked lately", () => {
  test("counts the whole seconds of its windows, and forgets what is older", () => {
    let now = 500;
    const activity = createActivity(() => now);
    activity.started();
    activity.started();
    activity.ended("acknowledged");
    activity.ended("unavailable");
    assert.deepEqual(activity.view(), { requests: 0, attempts: { acknowledged: 1, unavailable: 1 } });
    now = 1_000;
    assert.equal(activity.view().requests, 2);
    now = REQUESTS_WITHIN_S * 1_000 + 999;
    assert.equal(activity.view().requests, 2);
    now = (REQUESTS_WITHIN_S + 1) * 1_000;
    assert.equal(activity.view().requests, 0);
    now = ATTEMPTS_WITHIN_S * 1_000 - 1;
    assert.deepEqual(activity.view().attempts, { acknowledged: 1, unavailable: 1 });
    now = ATTEMPTS_WITHIN_S * 1_000;
    activity.ended("acknowledged");
    assert.deepEqual(activity.view().attempts, { acknowledged: 1 });
  });
});

describe("what became of events lately", () => {
  const batchOf = (first: number) => ({ partition: 3, first, last: first });
  const results = (outcome: "delivered" | "rejected", offset: number): BatchResults => ({
    messages: [],
    outcomes: { delivered: 0, rejected: 0, partially_delivered: 0, [outcome]: 1 },
    rejections: new Map<string, number>(outcome === "rejected" ? [["invalid_phone", 1]] : []),
    deliveredAskedAt: outcome === "delivered" ? [1_000] : [],
    answeredAt: 3_500,
    statuses: [status(outcome, offset)],
  });

  test("counts all of it, and keeps the last batches and the last failures, newest first", () => {
    const recent = createRecent();
    for (let offset = 0; offset < 2 * RECENT; offset++) {
      recent.onSettled(batchOf(offset), results(offset % 2 === 0 ? "delivered" : "rejected", offset));
    }
    const { outcomes, rejections, settled, notDelivered } = recent.view();
    assert.doesNotMatch(JSON.stringify(recent.view()), /555|\+1/);
    assert.deepEqual(outcomes, { delivered: RECENT, rejected: RECENT, partially_delivered: 0 });
    assert.deepEqual(rejections, { invalid_phone: RECENT });
    assert.deepEqual(
      settled.map(({ first, slowestMs }) => [first, slowestMs]),
      Array.from({ length: RECENT }, (_, back) => 2 * RECENT - 1 - back).map((first) => [
        first,
        first % 2 === 0 ? 2_500 : null,
      ]),
    );
    assert.deepEqual(
      notDelivered.map(({ offset }) => offset),
      Array.from({ length: RECENT }, (_, back) => 2 * RECENT - 1 - 2 * back),
    );
  });
});

function status(outcome: "delivered" | "rejected", offset: number): StatusRecord {
  const time = "2026-01-01T00:00:00.000Z";
  return {
    statusId: `events:3:${offset}`,
    outcome,
    eventId: null,
    phone: "+12125550123",
    source: "web",
    reason: outcome === "rejected" ? "invalid_phone" : null,
    detail: null,
    idempotencyKey: null,
    origin: { topic: "events", partition: 3, offset, timestamp: time },
    environments: [],
    occurredAt: null,
    completedAt: time,
  };
}
