import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { batchOf, createFixture, held, type Reply } from "./delivery-lane-fixture.ts";

/** Longer than what counts as hanging. */
const LONG_MS = 3_000;
const FAILURES_TO_CLOSE = 5;

/**
 * A process that was kept from its work finds many answers at once: to a request of long ago as given, then failures that
 * close the lane, then one to a request of just now that opens it. Answers how often the first batch is sent in all.
 */
async function sentAfter(t: TestContext, answer: Reply | undefined) {
  const environment = held();
  const fixture = createFixture(t, { respond: environment.respond });
  const old = fixture.deliver(batchOf(1));
  await fixture.settle();
  await fixture.advance(LONG_MS);
  for (let index = 1; index <= FAILURES_TO_CLOSE + 1; index++) fixture.deliver(batchOf(1, { first: index }));
  await fixture.settle();
  const [first, ...others] = environment.waiting.splice(0);
  const last = others.pop();
  assert.equal(others.length, FAILURES_TO_CLOSE);
  first?.give(answer);
  for (const { give } of others) give({ status: 500 });
  last?.give();
  for (let rounds = 0; rounds < 10; rounds++) {
    await fixture.settle();
    environment.giveAll();
    await fixture.advance(1_000, 100);
  }
  const key = first?.received.key;
  return { old, times: fixture.requests.filter((request) => request.key === key).length };
}

describe("lane: a request that was answered isn't given up as lost when a later one opens the lane", () => {
  test("one that was acknowledged is not sent again", async (t) => {
    const { old, times } = await sentAfter(t, undefined);
    assert.equal(old.outcomes?.length, 1);
    assert.equal(times, 1);
  });

  test("one that failed is sent again once, not twice", async (t) => {
    const { old, times } = await sentAfter(t, { status: 500 });
    assert.equal(old.outcomes?.length, 1);
    assert.equal(times, 2);
  });
});
