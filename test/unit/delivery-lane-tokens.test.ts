import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { createEnvironment } from "../../src/delivery/environment.ts";
import type { TokenOutcome } from "../../src/delivery/token-source.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { SCOPE } from "./batching-arbitraries.ts";
import { serve } from "./delivery-http-fixture.ts";
import { batchOf, createFixture, held, ok, type Reply, takeAll } from "./delivery-lane-fixture.ts";

const tokenReply = (fields: Record<string, unknown>): Reply => ({
  status: 200,
  body: JSON.stringify({ access_token: "same", token_type: "Bearer", ...fields }),
});

const deliverMany = (fixture: ReturnType<typeof createFixture>, count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => fixture.deliver(batchOf(1, { first: from + index })));

describe("lane: a storm of 401s", () => {
  test("that doesn't end costs one refresh before the lane closes, over however many partitions it is spread", async (t) => {
    const fixture = createFixture(t, { respond: () => ({ status: 401 }), maxConcurrency: 4 });
    for (let partition = 0; partition < 40; partition++) fixture.deliver(batchOf(1, { partition }));
    for (let turn = 0; turn < 100; turn++) await fixture.settle();
    assert.equal(fixture.lane.state().closure?.reason, "unauthorized");
    assert.equal(fixture.tokensIssued, 2);
    assert.ok(fixture.requests.length <= 8, `${fixture.requests.length} requests`);
  });

  for (const [name, respondToken] of Object.entries({
    "another token": undefined,
    "the same token again": () => tokenReply({ expires_in: 3600 }),
  })) {
    test(`64 requests that are refused cost one refresh, though the server gives ${name}`, async (t) => {
      const environment = held();
      const fixture = createFixture(t, {
        respond: environment.respond,
        ...(respondToken && { respondToken }),
      });
      const [first] = deliverMany(fixture, 1);
      await fixture.settle();
      environment.giveAll();
      await fixture.settle();
      assert.ok(first?.outcomes);
      const deliveries = deliverMany(fixture, 64, 1);
      await fixture.advance(20, 1);
      const refuse = environment.waiting.splice(0);
      assert.ok(refuse.length > 8, `${refuse.length} in flight`);
      for (const { give } of refuse.slice(0, 5)) give({ status: 401 });
      await fixture.settle();
      assert.equal(fixture.tokensIssued, 2);
      // The others come late: the refresh is over, and some were sent again already.
      for (const { give } of refuse.slice(5)) give({ status: 401 });
      for (let turn = 0; turn < 20 && deliveries.some(({ outcomes }) => !outcomes); turn++) {
        await fixture.settle();
        environment.giveAll();
        await fixture.advance(10);
      }
      assert.ok(deliveries.every(({ outcomes }) => outcomes?.every(({ accepted }) => accepted)));
      assert.equal(fixture.tokensIssued, 2);
    });
  }

  test("a token that was dead when it was issued closes the lane, costs a request each probe, and heals", async (t) => {
    let isDead = true;
    const fixture = createFixture(t, {
      respondToken: () => tokenReply({ expires_in: 3600 }),
      respond: (received) => (isDead ? { status: 401 } : takeAll(received)),
    });
    const deliveries = deliverMany(fixture, 50);
    await fixture.advance(20, 1);
    assert.equal(fixture.lane.state().closure?.reason, "unauthorized");
    const { tokensIssued, requests } = fixture;
    const before = requests.length;
    await fixture.advance(60_000, 100);
    const probes = requests.length - before;
    assert.ok(probes > 0);
    assert.ok(fixture.tokensIssued - tokensIssued <= probes, "one for each refusal at most");
    isDead = false;
    await fixture.advance(60_000, 100);
    assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
  });
});

describe("lane: what a token server may answer", () => {
  /** Delivers ten batches a second, for a minute. */
  const minuteOf = async (t: TestContext, fields: Record<string, unknown>) => {
    const fixture = createFixture(t, { respondToken: () => tokenReply(fields) });
    for (let sent = 0; sent < 600; sent++) {
      const delivery = fixture.deliver(batchOf(1, { first: sent }));
      await fixture.settle();
      assert.ok(delivery.outcomes?.[0]?.accepted, "delivered at once");
      await fixture.advance(100);
    }
    assert.ok(fixture.requests.every(({ token }) => token === "same"));
    return fixture.tokensIssued;
  };

  test("a lifetime that is absent, senseless or endless: one token does", async (t) => {
    const senseless = [undefined, null, 0, -3600, "", "soon", {}, 2 ** 31, 2 ** 53, 1e300, "3600"];
    for (const expires_in of senseless) {
      assert.equal(await minuteOf(t, { expires_in }), 1, JSON.stringify(expires_in));
      t.mock.timers.reset();
    }
  });

  test("a lifetime of a second or less: two tokens a second at most, and no batch waits", async (t) => {
    for (const expires_in of [1, 0.2, 0.001]) {
      const tokens = await minuteOf(t, { expires_in });
      assert.ok(tokens >= 100 && tokens <= 120, `${tokens} tokens of ${expires_in} s`);
      t.mock.timers.reset();
    }
  });

  test("no token: the lane waits, nothing is sent, and it goes on with the first one", async (t) => {
    const answers: Record<string, Reply> = {
      "a page": { status: 200, body: "<html>Sign in</html>" },
      nothing: { status: 200, body: "" },
      "cut JSON": { status: 200, body: '{"access_token":"abc' },
      "another thing": { status: 200, body: "[]" },
      "an empty token": tokenReply({ access_token: "" }),
      "a token that no header can carry": tokenReply({ access_token: "a\nb" }),
      "another kind of token": tokenReply({ token_type: "mac" }),
      "an error": { status: 500 },
      "too many": { status: 429 },
    };
    for (const [name, reply] of Object.entries(answers)) {
      let isBad = true;
      const fixture = createFixture(t, {
        respondToken: () => (isBad ? reply : tokenReply({ expires_in: 3600 })),
      });
      const deliveries = deliverMany(fixture, 20);
      await fixture.settle();
      assert.equal(fixture.lane.state().closure?.reason, "token_unavailable", name);
      assert.equal(fixture.tokensIssued, 1, `${name}: one request for all`);
      await fixture.advance(5_000, 100);
      assert.equal(fixture.requests.length, 0, name);
      isBad = false;
      await fixture.advance(60_000, 100);
      assert.ok(
        deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted),
        name,
      );
      t.mock.timers.reset();
    }
  });

  test("Retry-After: the lane is closed until then, and asks once", async (t) => {
    for (const status of [429, 503]) {
      let isBad = true;
      const fixture = createFixture(t, {
        respondToken: () =>
          isBad ? { status, headers: { "retry-after": "30" } } : tokenReply({ expires_in: 3600 }),
      });
      const askedAt = Date.now();
      const deliveries = deliverMany(fixture, 20);
      await fixture.settle();
      assert.deepEqual(fixture.lane.state().closure, {
        reason: "token_unavailable",
        since: askedAt,
        until: askedAt + 30_000,
      });
      isBad = false;
      await fixture.advance(29_900, 100);
      assert.equal(fixture.tokensIssued, 1);
      await fixture.advance(1_000, 100);
      assert.equal(fixture.tokensIssued, 2);
      assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
      t.mock.timers.reset();
    }
  });
});

describe("environment: a token server over real HTTP", () => {
  /** An environment of which the test says how it answers for tokens; it takes all entries. */
  const start = async (t: TestContext, answerToken: (nth: number) => Reply | undefined) => {
    let asked = 0;
    const { url } = await serve(t, (request, response) => {
      const isToken = request.url === "/oauth/token";
      const reply = isToken ? answerToken(++asked) : ok(1);
      request.resume();
      if (reply !== undefined) response.writeHead(reply.status, reply.headers).end(reply.body);
    });
    const refreshes: TokenOutcome[] = [];
    const environment = createEnvironment({
      config: {
        ...{ name: "production", baseUrl: url, dialect: "compliance-dnc", requestsPerSecond: 1_000 },
        auth: { clientId: "relay", clientSecret: "s3cret", scope: "dnc:write" },
        ...{ maxConcurrency: 8, requestTimeout: 200, retry: { initialBackoff: 5, maxBackoff: 20 } },
      },
      events: {
        onAttempt() {},
        onRateWait() {},
        onDefect: assert.fail,
        onTokenRefresh: (outcome) => refreshes.push(outcome),
      },
      logger: silentLogger(),
      maySend: () => true,
    });
    t.after(() => environment.close());
    environment.lane.setShare(1);
    const deliver = (first: number) =>
      new Promise<void>((resolve) => {
        environment.lane.deliver({
          ...{ scope: SCOPE, batch: batchOf(1, { first }), split: "pending", onSplit() {} },
          done: () => resolve(),
        });
      });
    return { deliver, refreshes, asked: () => asked };
  };

  test("one that never answers is given up at the timeout, and asked again, once at a time", async (t) => {
    const good = tokenReply({ expires_in: 3600 });
    const { deliver, refreshes, asked } = await start(t, (nth) => (nth <= 2 ? undefined : good));
    await Promise.all(Array.from({ length: 20 }, (_, index) => deliver(index)));
    assert.deepEqual(refreshes, ["failed", "failed", "ok"]);
    assert.equal(asked(), 3);
  });
});
