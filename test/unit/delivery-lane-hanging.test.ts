import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  batchOf,
  createFixture,
  deferred,
  type Received,
  type Reply,
  takeAll,
} from "./delivery-lane-fixture.ts";

const never = (): Promise<Reply> => deferred<Reply>().promise;

const deliverMany = (fixture: ReturnType<typeof createFixture>, count: number) =>
  Array.from({ length: count }, (_, index) => fixture.deliver(batchOf(1, { first: index })));

describe("lane: requests that are never answered", () => {
  test("close the lane long before they time out, and are sent again once a later one is answered", async (t) => {
    let hangs = false;
    const fixture = createFixture(t, {
      respond: (received) => (hangs ? never() : takeAll(received)),
      maxConcurrency: 3,
    });
    fixture.deliver(batchOf(1, { first: 100 }));
    await fixture.settle();
    hangs = true;
    const deliveries = deliverMany(fixture, 10);
    await fixture.settle();
    assert.equal(fixture.requests.length, 1 + 3);
    await fixture.advance(1_499, 1);
    assert.equal(fixture.lane.state().closure, null);
    await fixture.advance(1);
    assert.equal(fixture.lane.state().closure?.reason, "unavailable");
    assert.equal(fixture.lane.state().inFlight, 3, "the probe took the place of one of them");
    await fixture.advance(10_000, 50);
    hangs = false;
    await fixture.advance(1_100, 50);
    assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
    assert.equal(fixture.lane.state().closure, null);
    assert.equal(fixture.lane.state().inFlight, 0);
    const keys = fixture.requests.map(({ key }) => key);
    assert.equal(new Set(keys).size, 1 + 10, "under the same keys");
  });

  test("never exceed the configured concurrency, and leave one probe alone for all the time it may take", async (t) => {
    const fixture = createFixture(t, { respond: never, maxConcurrency: 6 });
    deliverMany(fixture, 20);
    let most = 0;
    const pending = () => fixture.requests.filter(({ signal }) => !signal.aborted).length;
    for (let passed = 0; passed < 29_000; passed += 100) {
      await fixture.advance(100);
      most = Math.max(most, pending(), fixture.lane.state().inFlight);
    }
    assert.equal(most, 6);
    assert.ok(fixture.requests.length > 20, "a probe a second");
    assert.equal(fixture.requests[6]?.signal.aborted, false, "the first probe");
  });

  test("aren't taken for an outage that soon before it is known how slow the environment is", async (t) => {
    const slow = (received: Received): Promise<Reply> =>
      new Promise((resolve) => setTimeout(() => resolve(takeAll(received)), 3_900));
    const fixture = createFixture(t, { respond: slow, maxConcurrency: 2 });
    const deliveries = deliverMany(fixture, 4);
    await fixture.advance(8_000, 50);
    assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
    assert.equal(fixture.requests.length, 4);
    assert.deepEqual(
      fixture.logs.filter(({ reason }) => reason === "unavailable"),
      [],
    );
  });

  test("with a concurrency of one, a slow environment still gets its time", async (t) => {
    const slow = (received: Received): Promise<Reply> =>
      new Promise((resolve) => setTimeout(() => resolve(takeAll(received)), 10_000));
    const fixture = createFixture(t, { respond: slow, maxConcurrency: 1 });
    const deliveries = deliverMany(fixture, 3);
    await fixture.advance(60_000, 100);
    assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
    assert.ok(fixture.requests.length <= 4, "only the very first was given up");
  });

  test("an answer that is only late reopens the lane, and the others from then are waited for", async (t) => {
    const fixture = createFixture(t, {
      respond: (received, nth) =>
        new Promise((resolve) => {
          setTimeout(() => resolve(takeAll(received)), nth > 1 && nth <= 5 ? 3_000 + nth : 10);
        }),
      maxConcurrency: 4,
    });
    fixture.deliver(batchOf(1, { first: 101 }));
    await fixture.advance(10);
    const deliveries = deliverMany(fixture, 4);
    const extra = fixture.deliver(batchOf(1, { first: 100, partition: 1 }));
    await fixture.advance(2_900, 1);
    assert.equal(extra.outcomes?.[0]?.accepted, true, "it probed, and took the place of one");
    await fixture.advance(3_500, 1);
    assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
  });

  test("a batch that hangs by itself isn't the only one to probe with", async (t) => {
    const poison = "+12125550000";
    const fixture = createFixture(t, {
      respond: (received, nth) =>
        nth <= 10 || received.phones.includes(poison) ? { status: 503 } : takeAll(received),
      maxConcurrency: 1,
    });
    const [bad, ...others] = deliverMany(fixture, 5);
    await fixture.advance(30_000, 50);
    assert.equal(bad?.outcomes, undefined);
    assert.ok(others.every(({ outcomes }) => outcomes?.[0]?.accepted));
  });

  test("a closed lane is probed with what waits for its backoff if there is nothing else", async (t) => {
    let down = true;
    const fixture = createFixture(t, {
      respond: (received) => (down ? { status: 503 } : takeAll(received)),
      retry: { initialBackoff: 500, maxBackoff: 60_000 },
      random: () => 0.999,
    });
    const delivery = fixture.deliver(batchOf(1));
    await fixture.advance(120_000, 100);
    down = false;
    await fixture.advance(1_000, 50);
    assert.equal(delivery.outcomes?.[0]?.accepted, true);
  });
});
