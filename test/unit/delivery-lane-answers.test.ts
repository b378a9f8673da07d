import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  acceptance,
  batchOf,
  createFixture,
  inTurn,
  ok,
  type Reply,
  takeAll,
} from "./delivery-lane-fixture.ts";

const success = (body: unknown): Reply => ({ status: 201, body: JSON.stringify(body) });

describe("lane: acknowledged", () => {
  test("a whole success ends the delivery, with what proves it", async (t) => {
    const { lane, settle, deliver, requests, attempts } = createFixture(t);
    const batch = batchOf(3);
    const delivery = deliver(batch);
    await settle();
    assert.deepEqual(delivery.outcomes, [
      {
        from: 0,
        to: 3,
        accepted: true,
        httpStatus: 201,
        requestId: "r-1",
        detail: null,
        answeredAt: 1_000_000,
        attempts: 1,
      },
    ]);
    assert.equal(requests.length, 1);
    assert.equal(requests[0]?.key, batch.key);
    assert.equal(requests[0]?.body, batch.body.toString());
    assert.deepEqual(attempts, ["acknowledged"]);
    const { queued, inFlight, waitingForRetry, closure } = lane.state();
    assert.deepEqual([queued, inFlight, waitingForRetry, closure], [0, 0, 0, null]);
  });

  test("any 2xx counts that says success and covers the entries, duplicates outside or inside the count", async (t) => {
    const bodies: Reply[] = [
      { ...ok(2), status: 200 },
      { ...ok(2), status: 202 },
      success({ success: true, entriesProcessed: 1, duplicateCount: 1 }),
      success({ success: true, entriesProcessed: 2, duplicateCount: 2 }),
      success({ success: true, entriesProcessed: 2 }),
    ];
    const { settle, deliver } = createFixture(t, { respond: inTurn(...bodies), maxConcurrency: 1 });
    const deliveries = bodies.map((_, index) => deliver(batchOf(2, { first: index * 2 })));
    await settle();
    for (const { outcomes } of deliveries) assert.deepEqual(acceptance(batchOf(2), outcomes), [true, true]);
  });
});

describe("lane: short and unreadable successes", () => {
  const shorts: Record<string, Reply> = {
    "success:false": success({ success: false, entriesProcessed: 1, duplicateCount: 0 }),
    "success as a string": success({ success: "true", entriesProcessed: 1 }),
    "success missing": success({ entriesProcessed: 1 }),
    "too few processed": success({ success: true, entriesProcessed: 0, duplicateCount: 0 }),
    "counts missing": success({ success: true }),
    "a string for a number": success({ success: true, entriesProcessed: "1" }),
    HTML: { status: 200, body: "<html><body>Welcome</body></html>" },
    "an empty body": { status: 204, body: "" },
    "truncated JSON": { status: 201, body: '{"success":true,"entriesProc' },
  };

  for (const [what, reply] of Object.entries(shorts)) {
    test(`${what}: never delivered, sent again with a backoff until it is taken`, async (t) => {
      const { settle, advance, deliver, requests, attempts } = createFixture(t, {
        respond: inTurn(...Array.from({ length: 10 }, () => reply)),
      });
      const delivery = deliver(batchOf(1));
      await settle();
      assert.equal(requests.length, 1);
      await advance(499);
      assert.equal(requests.length, 1, "the backoff is 500 ms here");
      await advance(1);
      assert.equal(requests.length, 2);
      assert.deepEqual(attempts, ["short", "short"]);
      await advance(600_000, 1_000);
      assert.equal(attempts.filter((outcome) => outcome === "short").length, 10);
      assert.deepEqual(acceptance(batchOf(1), delivery.outcomes), [true]);
      assert.equal(delivery.outcomes?.[0]?.attempts, 11);
    });
  }

  test("an address that answers everything so closes the lane, and is probed by one request at a time", async (t) => {
    const { settle, advance, deliver, requests, lane } = createFixture(t, {
      respond: () => ({ status: 200, body: "<html><body>Welcome</body></html>" }),
    });
    deliver(batchOf(8));
    await settle();
    assert.equal(lane.state().closure?.reason, "short_answers");
    const before = requests.length;
    await advance(600_000, 1_000);
    const probes = requests.length - before;
    assert.ok(probes >= 5 && probes <= 30, `${probes} requests in ten minutes`);
  });

  test("several entries are split at once, to find what was not taken", async (t) => {
    const { settle, deliver, requests } = createFixture(t, {
      respond: inTurn({ status: 201, body: JSON.stringify({ success: true, entriesProcessed: 3 }) }),
      maxConcurrency: 1,
    });
    const batch = batchOf(4);
    const delivery = deliver(batch);
    await settle();
    assert.deepEqual(
      requests.map(({ phones }) => phones.length),
      [4, 2, 2],
    );
    assert.deepEqual(acceptance(batch, delivery.outcomes), [true, true, true, true]);
  });
});

describe("lane: refused entries", () => {
  for (const status of [400, 413, 422]) {
    test(`${status}: a single entry is rejected, with the status and request id`, async (t) => {
      const { settle, deliver, requests, lane } = createFixture(t, {
        respond: () => ({ status, headers: { "x-request-id": "r-9" } }),
      });
      const delivery = deliver(batchOf(1));
      await settle();
      assert.deepEqual(delivery.outcomes, [
        {
          from: 0,
          to: 1,
          accepted: false,
          httpStatus: status,
          requestId: "r-9",
          detail: null,
          answeredAt: 1_000_000,
          attempts: 1,
        },
      ]);
      assert.equal(requests.length, 1);
      assert.equal(lane.state().closure, null);
    });
  }
});

describe("lane: unauthorized", () => {
  test("a 401 refreshes the token once and sends the same again at once", async (t) => {
    const fixture = createFixture(t, {
      respond: (received) => (received.token === "t1" ? { status: 401 } : takeAll(received)),
    });
    const delivery = fixture.deliver(batchOf(2));
    await fixture.settle();
    assert.deepEqual(acceptance(batchOf(2), delivery.outcomes), [true, true]);
    assert.deepEqual(
      fixture.requests.map(({ token }) => token),
      ["t1", "t2"],
    );
    assert.equal(new Set(fixture.requests.map(({ key, body }) => key + body)).size, 1);
    assert.equal(fixture.tokensIssued, 2);
  });

  test("a storm of 401s refreshes once for all", async (t) => {
    const fixture = createFixture(t, {
      respond: (received) => (received.token === "t1" ? { status: 401 } : takeAll(received)),
    });
    const deliveries = Array.from({ length: 64 }, (_, index) =>
      fixture.deliver(batchOf(1, { first: index })),
    );
    await fixture.settle();
    assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
    assert.equal(fixture.tokensIssued, 2);
    assert.equal(fixture.requests.length, 128);
  });

  test("a second one in a row closes the lane, which probes with capped backoff and drops nothing", async (t) => {
    let healed = false;
    const fixture = createFixture(t, {
      respond: (received) => (healed ? takeAll(received) : { status: 401 }),
    });
    const deliveries = Array.from({ length: 5 }, (_, index) => fixture.deliver(batchOf(1, { first: index })));
    await fixture.settle();
    assert.equal(fixture.lane.state().closure?.reason, "unauthorized");
    const before = fixture.requests.length;
    await fixture.advance(3_600_000, 500);
    const probes = fixture.requests.length - before;
    assert.ok(probes >= 60 && probes < 400, `${probes} probes in an hour at a cap of 60 s`);
    assert.ok(deliveries.every(({ outcomes }) => outcomes === undefined));
    healed = true;
    await fixture.advance(60_000, 500);
    assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
    assert.equal(fixture.lane.state().closure, null);
  });
});

describe("lane: configuration faults", () => {
  for (const status of [301, 302, 307, 308, 304, 402, 403, 404, 405, 406, 410, 415, 451]) {
    test(`${status} closes the lane with capped backoff, drops nothing, and says what to check`, async (t) => {
      let healed = false;
      const fixture = createFixture(t, {
        respond: (received) =>
          healed ? takeAll(received) : { status, headers: { location: "http://elsewhere/" } },
        maxConcurrency: 4,
      });
      const deliveries = Array.from({ length: 20 }, (_, index) =>
        fixture.deliver(batchOf(2, { first: index * 2 })),
      );
      await fixture.settle();
      assert.equal(fixture.requests.length, 4);
      assert.equal(fixture.lane.state().closure?.reason, "misconfigured");
      assert.equal(fixture.lane.state().queued, 20);
      await fixture.advance(600_000, 1_000);
      assert.ok(
        fixture.requests.length > 10 && fixture.requests.length < 60,
        `${fixture.requests.length} requests`,
      );
      assert.ok(deliveries.every(({ outcomes }) => outcomes === undefined));
      const warnings = fixture.logs.filter(({ level }) => level === "warn");
      assert.equal(warnings.length, 1, "one line, not one an attempt");
      assert.equal(warnings[0]?.httpStatus, status);
      assert.equal(warnings[0]?.scope, "dnc:write");
      healed = true;
      await fixture.advance(60_000, 1_000);
      assert.ok(deliveries.every(({ outcomes }) => outcomes?.every(({ accepted }) => accepted)));
    });
  }
});
