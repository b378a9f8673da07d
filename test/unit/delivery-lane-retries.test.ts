import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Dialect, HttpSend, Verdict } from "../../src/delivery/dialects/dialect.ts";
import { createTokenSource } from "../../src/delivery/token-source.ts";
import {
  acceptance,
  batchOf,
  createFixture,
  deferred,
  inTurn,
  ok,
  type Received,
  type Reply,
  takeAll,
} from "./delivery-lane-fixture.ts";

describe("lane: try again later", () => {
  const transient: (number | "cut")[] = [408, 409, 425, 429, 500, 502, 503, 504, 599, "cut"];
  for (const status of transient) {
    test(`${status}: the same key and body again after a backoff, without end`, async (t) => {
      const reply = status === "cut" ? status : { status };
      const { settle, advance, deliver, requests, attempts } = createFixture(t, {
        respond: inTurn(...Array.from({ length: 30 }, () => reply)),
      });
      const delivery = deliver(batchOf(3));
      await settle();
      assert.equal(requests.length, 1);
      await advance(499);
      assert.equal(requests.length, 1);
      await advance(1);
      assert.equal(requests.length, 2);
      await advance(3_600_000, 1_000);
      assert.equal(requests.length, 31);
      assert.deepEqual(acceptance(batchOf(3), delivery.outcomes), [true, true, true]);
      assert.equal(delivery.outcomes?.[0]?.attempts, 31);
      assert.equal(new Set(requests.map(({ key, body }) => key + body)).size, 1);
      assert.equal(attempts[0], status === "cut" ? "error" : "unavailable");
    });
  }

  test("one batch's failures don't hold up the others; five in a row close the lane", async (t) => {
    const fixture = createFixture(t, {
      respond: (received) => (received.phones.includes("+12125550000") ? { status: 500 } : takeAll(received)),
    });
    const failing = fixture.deliver(batchOf(1));
    const others = Array.from({ length: 20 }, (_, index) =>
      fixture.deliver(batchOf(1, { first: index + 1 })),
    );
    await fixture.settle();
    assert.ok(others.every(({ outcomes }) => outcomes?.[0]?.accepted));
    assert.equal(fixture.lane.state().closure, null);
    assert.equal(fixture.lane.state().waitingForRetry, 1);
    await fixture.advance(60_000, 100);
    assert.equal(failing.outcomes, undefined);
    assert.equal(fixture.lane.state().closure?.reason, "unavailable");
  });

  test("an outage is probed by one request at a time; recovery sends at once what was waiting for its backoff", async (t) => {
    let down = true;
    const fixture = createFixture(t, {
      respond: (received) => (down ? { status: 503 } : takeAll(received)),
      random: () => 0.999,
    });
    const deliveries = Array.from({ length: 200 }, (_, index) =>
      fixture.deliver(batchOf(1, { first: index })),
    );
    await fixture.settle();
    assert.equal(fixture.requests.length, 64);
    await fixture.advance(120_000, 500);
    const probes = fixture.requests.slice(64);
    assert.ok(probes.length >= 100 && probes.length <= 121, `${probes.length} probes in two minutes`);
    assert.equal(new Set(probes.map(({ at }) => at)).size, probes.length);
    down = false;
    // No probe is farther away than a second.
    const before = fixture.requests.length;
    await fixture.advance(1_000, 50);
    assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
    const recovery = fixture.requests.slice(before).map(({ at }) => at);
    assert.equal(recovery.length, 200);
    assert.ok((recovery.at(-1) ?? 0) - (recovery[0] ?? 0) <= 50, "all within one tick of the clock");
    assert.ok(fixture.logs.some(({ msg }) => msg === "lane open again"));
  });
});

describe("lane: entries refused without a request", () => {
  test("say nothing of the environment: a closed lane stays closed", async (t) => {
    let submitted = 0;
    const dialect: Dialect = {
      maxEntries: 100,
      scope: undefined,
      requestToken: () => Promise.reject(new Error("the lane has its own token source")),
      async submit() {
        const verdict: Verdict = ++submitted <= 5 ? { kind: "unavailable" } : { kind: "refused" };
        return { verdict, httpStatus: submitted <= 5 ? 503 : null, requestId: null };
      },
    };
    const fixture = createFixture(t, { dialect });
    const deliveries = Array.from({ length: 5 }, (_, index) => fixture.deliver(batchOf(1, { first: index })));
    await fixture.settle();
    assert.equal(fixture.lane.state().closure?.reason, "unavailable");
    await fixture.advance(60_000, 100);
    assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted === false));
    assert.equal(fixture.lane.state().closure?.reason, "unavailable");
  });
});

describe("lane: Retry-After", () => {
  const wait = (status: number, seconds: string): Reply => ({ status, headers: { "retry-after": seconds } });

  for (const status of [429, 503]) {
    test(`on ${status} closes the whole lane until then`, async (t) => {
      const fixture = createFixture(t, { respond: inTurn(wait(status, "30")), maxConcurrency: 1 });
      const first = fixture.deliver(batchOf(1));
      await fixture.settle();
      const others = Array.from({ length: 5 }, (_, index) =>
        fixture.deliver(batchOf(1, { first: index + 1, partition: index })),
      );
      assert.deepEqual(fixture.lane.state().closure, {
        reason: "retry_after",
        since: 1_000_000,
        until: 1_030_000,
      });
      await fixture.advance(29_999, 250);
      assert.equal(fixture.requests.length, 1);
      await fixture.advance(1);
      assert.ok([first, ...others].every(({ outcomes }) => outcomes?.[0]?.accepted));
      assert.equal(fixture.requests.length, 7);
    });
  }

  test("as an HTTP-date, by the server's own clock", async (t) => {
    const fixture = createFixture(t, {
      respond: inTurn({
        status: 503,
        headers: { "retry-after": "Sun, 06 Nov 1994 08:50:07 GMT", date: "Sun, 06 Nov 1994 08:49:37 GMT" },
      }),
    });
    const delivery = fixture.deliver(batchOf(1));
    await fixture.settle();
    await fixture.advance(29_999, 250);
    assert.equal(fixture.requests.length, 1);
    await fixture.advance(1);
    assert.ok(delivery.outcomes?.[0]?.accepted);
  });

  test("of a year closes it for five minutes at most", async (t) => {
    const fixture = createFixture(t, { respond: inTurn(wait(429, "31536000")) });
    const delivery = fixture.deliver(batchOf(1));
    await fixture.settle();
    await fixture.advance(299_999, 1_000);
    assert.equal(fixture.requests.length, 1);
    await fixture.advance(1);
    assert.ok(delivery.outcomes?.[0]?.accepted);
  });

  test("that says nothing usable, or on another status, is an ordinary backoff", async (t) => {
    for (const reply of [
      wait(429, "-1"),
      wait(429, "soon"),
      wait(503, "0"),
      wait(500, "30"),
      wait(409, "30"),
    ]) {
      await t.test(JSON.stringify(reply), async (inner) => {
        const fixture = createFixture(inner, { respond: inTurn(reply) });
        const delivery = fixture.deliver(batchOf(1));
        await fixture.settle();
        assert.equal(fixture.lane.state().closure, null);
        await fixture.advance(500);
        assert.ok(delivery.outcomes?.[0]?.accepted);
      });
    }
  });

  test("isn't cut short by answers to requests that were already under way", async (t) => {
    const answers = new Map<string, { resolve(reply: Reply): void }>();
    const fixture = createFixture(t, {
      respond: ({ key }) => {
        const answer = deferred<Reply>();
        answers.set(key, answer);
        return answer.promise;
      },
      maxConcurrency: 3,
    });
    const batches = [0, 1, 2, 3].map((first) => batchOf(1, { first }));
    const deliveries = batches.map((batch) => fixture.deliver(batch));
    await fixture.settle();
    const reply = (index: number, what: Reply) => answers.get(batches[index]?.key ?? "")?.resolve(what);
    reply(0, wait(429, "10"));
    await fixture.settle();
    reply(1, ok(1));
    reply(2, { status: 400 });
    await fixture.settle();
    assert.deepEqual(
      deliveries.map(({ outcomes }) => outcomes?.[0]?.accepted),
      [undefined, true, false, undefined],
    );
    await fixture.advance(9_999, 250);
    assert.equal(fixture.requests.length, 3, "nobody may try before");
    assert.equal(fixture.lane.state().closure?.reason, "retry_after");
    await fixture.advance(1);
    assert.equal(fixture.requests.length, 4, "one request probes");
  });

  test("also holds back what was waiting for a token", async (t) => {
    const token = deferred<Reply>();
    const first = deferred<Reply>();
    const fixture = createFixture(t, {
      respond: (received: Received, nth) =>
        nth === 1 ? first.promise : nth === 2 ? { status: 401 } : takeAll(received),
      respondToken: (nth) =>
        nth === 1
          ? { status: 200, body: JSON.stringify({ access_token: "t1", expires_in: 3600 }) }
          : token.promise,
    });
    const deliveries = [0, 1, 2, 3].map((index) => {
      const delivery = fixture.deliver(batchOf(1, { first: index }));
      return delivery;
    });
    await fixture.settle();
    // The second of the four was refused and waits for a new token; now the first one's answer closes the lane.
    first.resolve(wait(429, "10"));
    await fixture.settle();
    const before = fixture.requests.length;
    token.resolve({ status: 200, body: JSON.stringify({ access_token: "t2", expires_in: 3600 }) });
    await fixture.advance(9_999, 250);
    assert.equal(fixture.requests.length, before);
    await fixture.advance(1);
    assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
  });
});

describe("lane: no token", () => {
  test("a token server that is down closes the lane; it is asked again with backoff, and nothing is dropped", async (t) => {
    for (const [reply, reason] of [
      [{ status: 503 }, "token_unavailable"],
      [{ status: 200, body: "<html>" }, "token_unavailable"],
      [{ status: 401, body: '{"error":"invalid_client"}' }, "credentials_refused"],
      [{ status: 400, body: '{"error":"invalid_scope"}' }, "credentials_refused"],
    ] as const) {
      await t.test(`${reply.status}: ${reason}`, async (inner) => {
        const fixture = createFixture(inner, {
          respondToken: (nth) =>
            nth <= 5 ? reply : { status: 200, body: JSON.stringify({ access_token: "t", expires_in: 3600 }) },
        });
        const deliveries = Array.from({ length: 100 }, (_, index) =>
          fixture.deliver(batchOf(1, { first: index })),
        );
        await fixture.settle();
        assert.equal(fixture.tokensIssued, 1);
        assert.equal(fixture.lane.state().closure?.reason, reason);
        await fixture.advance(120_000, 250);
        assert.equal(fixture.tokensIssued, 6);
        assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
        assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.attempts === 1));
      });
    }
  });

  test("why there is none, or why the lane closes, is in the log where the dialect knows", async (t) => {
    const detail = "the token_endpoint that the issuer gives is not https";
    const dialect: Dialect = {
      maxEntries: 100,
      scope: undefined,
      requestToken: async () => ({ ok: false, refused: true, httpStatus: 200, detail }),
      submit: async () => ({
        ...{ verdict: { kind: "misconfigured" }, httpStatus: 404, requestId: null },
        detail: "no api_endpoint is given",
      }),
    };
    const never: HttpSend = () => Promise.reject(new Error("this dialect asks nobody"));
    const messages = (logs: Record<string, unknown>[]) =>
      logs.filter(({ level }) => level === "warn").map(({ reason, detail }) => ({ reason, detail }));
    const refused = createFixture(t, {
      dialect,
      tokens: createTokenSource({
        fetchToken: () => dialect.requestToken(never, new AbortController().signal),
        onRefresh() {},
        now: () => 0,
      }),
    });
    refused.deliver(batchOf(1));
    await refused.settle();
    assert.deepEqual(messages(refused.logs), [{ reason: "credentials_refused", detail }]);
    t.mock.timers.reset();
    const lost = createFixture(t, { dialect });
    lost.deliver(batchOf(1));
    await lost.settle();
    assert.deepEqual(messages(lost.logs), [{ reason: "misconfigured", detail: "no api_endpoint is given" }]);
  });

  test("logs never hold the secret, a token or a phone", async (t) => {
    const fixture = createFixture(t, {
      respond: inTurn("cut", { status: 401 }, { status: 403 }, { status: 500 }, { status: 400 }),
    });
    fixture.deliver(batchOf(2));
    await fixture.settle();
    await fixture.advance(120_000, 250);
    assert.ok(fixture.requests.length > 5);
    const text = JSON.stringify(fixture.logs);
    assert.doesNotMatch(text, /s3cret|"t\d"|\+?1212555|opt-out-events:0/);
  });
});
