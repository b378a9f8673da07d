import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  controlled,
  fetched,
  HOUR,
  issued,
  MINUTE,
  SECOND,
  started,
  tokenOf,
} from "./delivery-token-source-fixture.ts";

describe("token source: refreshing", () => {
  test("an hour's token is used until 5 minutes before its end, then refreshed while it is still given out", async () => {
    const server = await started(HOUR);
    server.at(55 * MINUTE - 1);
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(server.requests, 1);
    server.at(55 * MINUTE);
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(server.requests, 2);
    (await server.next()).give(HOUR);
    await nextTurn();
    assert.equal(await tokenOf(server.source), "t2");
    assert.equal(server.requests, 2);
  });

  test("short-lived tokens are refreshed at half their life", async () => {
    for (const lifetime of [SECOND, 30 * SECOND, 5 * MINUTE, 8 * MINUTE, 10 * MINUTE]) {
      const server = await started(lifetime);
      server.at(lifetime / 2 - 1);
      await server.source.get();
      assert.equal(server.requests, 1);
      server.at(lifetime / 2);
      assert.equal(await tokenOf(server.source), "t1");
      assert.equal(server.requests, 2);
    }
  });

  test("a token of unstated or senseless lifetime is taken for one of 10 minutes", async () => {
    for (const lifetime of [undefined, 0, -1, Number.NEGATIVE_INFINITY, Number.NaN]) {
      const server = await started(lifetime);
      server.at(5 * MINUTE - 1);
      await server.source.get();
      assert.equal(server.requests, 1, String(lifetime));
      server.at(5 * MINUTE);
      await server.source.get();
      assert.equal(server.requests, 2, String(lifetime));
    }
  });

  test("no lifetime is believed beyond a day", async () => {
    for (const lifetime of [25 * HOUR, 2 ** 31, 2 ** 53, Number.MAX_VALUE, Number.POSITIVE_INFINITY]) {
      const server = await started(lifetime);
      server.at(24 * HOUR - 5 * MINUTE - 1);
      assert.equal(await tokenOf(server.source), "t1");
      assert.equal(server.requests, 1, String(lifetime));
      server.at(24 * HOUR - 5 * MINUTE);
      assert.equal(await tokenOf(server.source), "t1");
      assert.equal(server.requests, 2, String(lifetime));
    }
  });

  test("the lifetime counts from when the token was asked for, not from when it came", async () => {
    const server = controlled();
    const first = server.source.get();
    const request = await server.next();
    server.at(20 * SECOND);
    request.give(30 * SECOND);
    await first;
    server.at(30 * SECOND - 1);
    assert.equal(await tokenOf(server.source), "t1");
    server.at(30 * SECOND);
    assert.equal((await fetched(server, 30 * SECOND)).value, "t2");
  });

  test("an expired token isn't given out: everyone waits for the next", async () => {
    const server = await started(10 * MINUTE);
    server.at(10 * MINUTE);
    const waiting = Promise.all([tokenOf(server.source), tokenOf(server.source)]);
    (await server.next()).give(10 * MINUTE);
    assert.deepEqual(await waiting, ["t2", "t2"]);
    assert.equal(server.requests, 2);
  });

  test("whatever is asked of it, a tiny lifetime costs two refreshes a second at most", async () => {
    for (const lifetime of [0.001, 1, 50, 999, SECOND]) {
      const server = await started(lifetime);
      for (let time = 1; time < 10 * SECOND; time += 10) {
        server.at(time);
        const waiting = server.source.get();
        if (server.requests > server.outcomes.length) (await server.next()).give(lifetime);
        issued(await waiting);
      }
      assert.ok(server.requests <= 20, `${server.requests} requests for tokens of ${lifetime} ms`);
      assert.ok(server.requests >= 15, `${server.requests} requests for tokens of ${lifetime} ms`);
    }
  });

  test("a token that is older than its lifetime when it comes is used for a second all the same", async () => {
    const server = controlled();
    const first = server.source.get();
    const request = await server.next();
    server.at(3 * SECOND);
    request.give(2 * SECOND);
    assert.equal(issued(await first).value, "t1");
    server.at(3 * SECOND + 499);
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(server.requests, 1);
    server.at(3 * SECOND + 500);
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(server.requests, 2);
    server.at(4 * SECOND);
    const waiting = tokenOf(server.source);
    (await server.next()).give(2 * SECOND);
    assert.equal(await waiting, "t2");
    assert.equal(server.requests, 2);
  });
});

describe("token source: one request at a time", () => {
  test("a hundred who ask at once share one request", async () => {
    const server = controlled();
    const all = Promise.all(Array.from({ length: 100 }, () => tokenOf(server.source)));
    (await server.next()).give(HOUR);
    assert.deepEqual(new Set(await all), new Set(["t1"]));
    assert.equal(server.requests, 1);
    assert.deepEqual(server.outcomes, ["ok"]);
  });

  test("a hundred 401s for one token make one refresh, also those that come late, also if the value stays", async () => {
    for (const value of [undefined, "always-the-same"]) {
      const server = controlled(value === undefined ? {} : { value });
      const refused = await fetched(server, HOUR);
      for (let count = 0; count < 50; count++) server.source.invalidate(refused);
      const all = Promise.all(Array.from({ length: 50 }, async () => issued(await server.source.get())));
      const request = await server.next();
      for (let count = 0; count < 25; count++) server.source.invalidate(refused);
      request.give(HOUR);
      const [second, ...others] = new Set(await all);
      assert.ok(second !== undefined && others.length === 0);
      assert.notEqual(second, refused);
      for (let count = 0; count < 25; count++) server.source.invalidate(refused);
      assert.equal(issued(await server.source.get()), second);
      assert.equal(server.requests, 2);
    }
  });

  test("a 401 for the new token is a reason to ask again, even if it is the old one's equal", async () => {
    const server = controlled({ value: "always-the-same" });
    server.source.invalidate(await fetched(server, HOUR));
    server.source.invalidate(await fetched(server, HOUR));
    await fetched(server, HOUR);
    assert.equal(server.requests, 3);
  });

  test("a 401 while an early refresh is under way waits for that one", async () => {
    const server = controlled();
    const first = await fetched(server, HOUR);
    server.at(56 * MINUTE);
    await server.source.get();
    server.source.invalidate(first);
    const waiting = tokenOf(server.source);
    (await server.next()).give(HOUR);
    assert.equal(await waiting, "t2");
    assert.equal(server.requests, 2);
  });

  test("a 401 for a token that isn't the current one changes nothing", async () => {
    const server = await started(HOUR);
    server.source.invalidate({ value: "t0" });
    server.source.invalidate({ value: "t1" });
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(server.requests, 1);
  });
});
