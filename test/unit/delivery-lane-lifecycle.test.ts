import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Answer, Dialect } from "../../src/delivery/dialects/dialect.ts";
import { SCOPE } from "./batching-arbitraries.ts";
import {
  acceptance,
  batchOf,
  createFixture,
  deferred,
  held,
  inTurn,
  ok,
  type Reply,
  takeAll,
} from "./delivery-lane-fixture.ts";

describe("lane: reset", () => {
  test("aborts what is under way and forgets the rest: done is never called", async (t) => {
    const environment = held();
    const fixture = createFixture(t, { respond: environment.respond, maxConcurrency: 3 });
    const deliveries = Array.from({ length: 10 }, (_, index) =>
      fixture.deliver(batchOf(2, { first: index * 2 })),
    );
    await fixture.settle();
    const signals = environment.waiting.map(({ received }) => received.signal);
    assert.equal(signals.length, 3);
    fixture.lane.reset();
    assert.ok(signals.every(({ aborted }) => aborted));
    environment.giveAll();
    await fixture.advance(300_000, 1_000);
    assert.ok(deliveries.every(({ outcomes }) => outcomes === undefined));
    assert.equal(fixture.requests.length, 3);
    assert.deepEqual(fixture.attempts, [], "an abort is no attempt's outcome");
    const { queued, inFlight, waitingForRetry, closure } = fixture.lane.state();
    assert.deepEqual([queued, inFlight, waitingForRetry, closure], [0, 0, 0, null]);
  });

  test("also what waits for its backoff, for the quota, for a token or for the lane to open", async (t) => {
    const situations: Record<string, Parameters<typeof createFixture>[1]> = {
      backoff: { respond: () => ({ status: 500 }) },
      quota: { share: 0 },
      token: { respondToken: () => deferred<Reply>().promise },
      "closed lane": { respond: () => ({ status: 403 }) },
    };
    for (const [what, options] of Object.entries(situations)) {
      await t.test(what, async (inner) => {
        const fixture = createFixture(inner, options);
        const delivery = fixture.deliver(batchOf(2));
        await fixture.settle();
        fixture.lane.reset();
        const before = fixture.requests.length;
        await fixture.advance(600_000, 10_000);
        assert.equal(fixture.requests.length, before);
        assert.equal(delivery.outcomes, undefined);
        const { queued, waitingForRetry } = fixture.lane.state();
        assert.deepEqual([queued, waitingForRetry], [0, 0]);
      });
    }
  });

  test("an answer that comes in spite of the abort changes nothing, and a late token sends nothing", async (t) => {
    const token = deferred<Reply>();
    const answer = deferred<Answer>();
    let submitted = 0;
    const deaf: Dialect = {
      maxEntries: Number.POSITIVE_INFINITY,
      scope: undefined,
      requestToken: () => Promise.reject(new Error("the lane has its own token source")),
      submit() {
        submitted++;
        return answer.promise;
      },
    };
    const fixture = createFixture(t, { dialect: deaf, respondToken: () => token.promise });
    const delivery = fixture.deliver(batchOf(2));
    fixture.lane.reset();
    token.resolve({ status: 200, body: JSON.stringify({ access_token: "t1", expires_in: 3600 }) });
    await fixture.settle();
    assert.equal(submitted, 0);
    const second = fixture.deliver(batchOf(2));
    await fixture.settle();
    assert.equal(submitted, 1);
    fixture.lane.reset();
    answer.resolve({ verdict: { kind: "acknowledged" }, httpStatus: 201, requestId: null });
    await fixture.settle();
    assert.deepEqual([delivery.outcomes, second.outcomes], [undefined, undefined]);
    assert.deepEqual(fixture.attempts, []);
    assert.equal(fixture.lane.state().inFlight, 0);
  });

  test("the lane delivers what comes afterwards, within its concurrency", async (t) => {
    const environment = held();
    const { deliver, settle, lane } = createFixture(t, { respond: environment.respond, maxConcurrency: 2 });
    for (let index = 0; index < 4; index++) deliver(batchOf(1, { first: index }));
    await settle();
    environment.waiting.splice(0);
    lane.reset();
    const again = Array.from({ length: 4 }, (_, index) => deliver(batchOf(1, { first: index })));
    await settle();
    assert.equal(environment.waiting.length, 2);
    environment.giveAll();
    await settle();
    environment.giveAll();
    await settle();
    assert.ok(again.every(({ outcomes }) => outcomes?.[0]?.accepted));
  });
});

describe("lane: ownership", () => {
  test("while this process may not be the owner nothing starts; wake() goes on", async (t) => {
    let owner = false;
    const { deliver, advance, settle, requests, lane } = createFixture(t, { maySend: () => owner });
    const deliveries = Array.from({ length: 3 }, (_, index) => deliver(batchOf(1, { first: index })));
    await advance(60_000, 1_000);
    assert.equal(requests.length, 0);
    assert.equal(lane.state().queued, 3);
    owner = true;
    lane.wake();
    await settle();
    assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
  });

  test("ownership lost while a token or a backoff was awaited keeps the request back", async (t) => {
    let owner = true;
    const token = deferred<Reply>();
    const fixture = createFixture(t, {
      maySend: () => owner,
      respondToken: () => token.promise,
      respond: (received, nth) => (nth === 1 ? { status: 500 } : takeAll(received)),
    });
    const delivery = fixture.deliver(batchOf(1));
    await fixture.settle();
    owner = false;
    token.resolve({ status: 200, body: JSON.stringify({ access_token: "t1", expires_in: 3600 }) });
    await fixture.settle();
    assert.equal(fixture.requests.length, 0);
    owner = true;
    fixture.lane.wake();
    await fixture.settle();
    assert.equal(fixture.requests.length, 1);
    owner = false;
    await fixture.advance(60_000, 1_000);
    assert.equal(fixture.requests.length, 1);
    owner = true;
    fixture.lane.wake();
    await fixture.settle();
    assert.deepEqual(acceptance(batchOf(1), delivery.outcomes), [true]);
  });
});

describe("lane: drain", () => {
  test("resolves at once when nothing is under way, whatever is queued", async (t) => {
    const { deliver, advance, requests, lane } = createFixture(t, { share: 0 });
    deliver(batchOf(1));
    await lane.drain();
    lane.setShare(1);
    lane.wake();
    deliver(batchOf(1, { first: 1 }));
    await advance(10_000, 1_000);
    assert.equal(requests.length, 0);
  });

  test("waits for what is under way, delivers its answers, and starts nothing more", async (t) => {
    const environment = held();
    const { deliver, settle, advance, requests, lane } = createFixture(t, {
      respond: environment.respond,
      maxConcurrency: 2,
    });
    const deliveries = Array.from({ length: 5 }, (_, index) => deliver(batchOf(2, { first: index * 2 })));
    await settle();
    let drained = 0;
    for (const draining of [lane.drain(), lane.drain()]) void draining.then(() => drained++);
    await settle();
    assert.equal(drained, 0);
    environment.waiting[0]?.give(ok(2));
    environment.waiting[1]?.give({ status: 400 });
    await settle();
    assert.equal(drained, 2, "whoever waits is told");
    assert.deepEqual(
      deliveries.map(({ outcomes }) => outcomes?.length),
      [1, undefined, undefined, undefined, undefined],
    );
    await advance(60_000, 1_000);
    assert.equal(requests.length, 2);
    await lane.drain();
  });

  test("what was waiting for a token isn't sent any more", async (t) => {
    const token = deferred<Reply>();
    const { deliver, settle, requests, lane } = createFixture(t, { respondToken: () => token.promise });
    deliver(batchOf(1));
    await settle();
    const draining = lane.drain();
    token.resolve({ status: 200, body: JSON.stringify({ access_token: "t1", expires_in: 3600 }) });
    await draining;
    await settle();
    assert.equal(requests.length, 0);
    assert.equal(lane.state().queued, 1);
  });
});

describe("lane: the unexpected", () => {
  test("an exception where none is expected is logged, and the batch is sent again instead of lost", async (t) => {
    let failures = 2;
    const fixture = createFixture(t, {
      events: {
        onAttempt() {
          if (failures-- > 0) throw new TypeError("a metric failed");
        },
        onRateWait() {},
        onDefect: assert.fail,
      },
    });
    const delivery = fixture.deliver(batchOf(2));
    await fixture.settle();
    assert.equal(fixture.lane.state().waitingForRetry, 1);
    await fixture.advance(60_000, 500);
    assert.deepEqual(acceptance(batchOf(2), delivery.outcomes), [true, true]);
    assert.equal(fixture.logs.filter(({ level }) => level === "error").length, 2);
  });
});

describe("lane: what must not happen", () => {
  test("an exception in dealing with an answer is told, and what was sent isn't sent again", async (t) => {
    const { lane, settle, advance, requests, defects } = createFixture(t);
    const batch = batchOf(1);
    const error = new Error("the relay's own fault");
    const done = () => {
      throw error;
    };
    lane.deliver({ scope: SCOPE, batch, split: "pending", onSplit: assert.fail, done });
    await settle();
    await advance(120_000, 1_000);
    assert.deepEqual(defects, [error]);
    assert.equal(requests.length, 1);
  });
});

describe("lane: state", () => {
  test("tells how many requests may be in flight and at what rate they start, to three digits", async (t) => {
    const replies = inTurn({ status: 429, headers: { "retry-after": "1" } });
    const fixture = createFixture(t, { requestsPerSecond: 100, share: 1 / 3, respond: replies });
    // Twice 33.3 a second for an assumed latency of half a second, and one.
    const { concurrencyLimit, requestsPerSecond } = fixture.lane.state();
    assert.deepEqual([concurrencyLimit, requestsPerSecond], [35, 33.3]);
    fixture.deliver(batchOf(1));
    await fixture.settle();
    assert.equal(fixture.lane.state().requestsPerSecond, 23.3, "seven tenths after a 429");
  });

  test("tells what is queued, under way and waiting, and why and how long the lane is closed", async (t) => {
    const environment = held();
    const { deliver, settle, advance, lane } = createFixture(t, {
      respond: environment.respond,
      maxConcurrency: 2,
    });
    for (let index = 0; index < 5; index++) deliver(batchOf(1, { first: index }));
    await settle();
    const controls = { concurrencyLimit: 2, requestsPerSecond: 1e6, quotaShare: 1e6 };
    assert.deepEqual(lane.state(), {
      ...controls,
      queued: 3,
      inFlight: 2,
      waitingForRetry: 0,
      closure: null,
    });
    environment.waiting[0]?.give({ status: 500 });
    environment.waiting[1]?.give({ status: 429, headers: { "retry-after": "40" } });
    await settle();
    await advance(100);
    assert.equal(lane.state().waitingForRetry, 1);
    await advance(9_900, 100);
    assert.deepEqual(lane.state(), {
      ...controls,
      queued: 5,
      inFlight: 0,
      waitingForRetry: 0,
      closure: { reason: "retry_after", since: 1_000_000, until: 1_040_000 },
    });
  });

  test("a closed lane that lost its work isn't called closed for ever, but through a rebalance, since when it was", async (t) => {
    const { deliver, settle, advance, lane } = createFixture(t, {
      respond: () => ({ status: 429, headers: { "retry-after": "40" } }),
    });
    const closure = { reason: "retry_after", since: 1_000_000, until: 1_040_000 };
    deliver(batchOf(1));
    await settle();
    assert.deepEqual(lane.state().closure, closure);
    lane.reset();
    await advance(90_000, 10_000);
    assert.deepEqual(lane.state().closure, closure);
    await advance(20_000, 10_000);
    assert.equal(lane.state().closure, null);
  });
});
