import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { TokenAnswer } from "../../src/delivery/dialects/dialect.ts";
import { createTokenSource, type TokenOutcome, type TokenSource } from "../../src/delivery/token-source.ts";

const MINUTE = 60_000;

interface Pending {
  give(lifetime?: number): void;
  fail(refused: boolean): void;
  cut(): void;
}

/** A source whose token server answers when the test says so; tokens are called t1, t2 and so on. */
const controlled = () => {
  let now = 0;
  let requests = 0;
  const pending: Pending[] = [];
  const outcomes: TokenOutcome[] = [];
  const source: TokenSource = createTokenSource({
    fetchToken() {
      const value = `t${++requests}`;
      return new Promise<TokenAnswer>((resolve, reject) => {
        pending.push({
          give: (lifetime) => resolve({ ok: true, token: { value, lifetime } }),
          fail: (refused) => resolve({ ok: false, refused, httpStatus: refused ? 401 : 503 }),
          cut: () => reject(new Error("socket hang up")),
        });
      });
    },
    onRefresh: (outcome) => outcomes.push(outcome),
    now: () => now,
  });
  return {
    source,
    outcomes,
    get requests() {
      return requests;
    },
    at(time: number) {
      now = time;
    },
    /** The oldest request not answered yet. */
    async next(): Promise<Pending> {
      await nextTurn();
      const request = pending.shift();
      assert.ok(request !== undefined, "no token was asked for");
      return request;
    },
  };
};

/** A controlled source that has its first token, of this lifetime in milliseconds, since time 0. */
const started = async (lifetime?: number) => {
  const server = controlled();
  const first = server.source.get();
  (await server.next()).give(lifetime);
  assert.deepEqual(await first, { ok: true, value: "t1" });
  return server;
};

const tokenOf = async (source: TokenSource): Promise<string | undefined> => {
  const result = await source.get();
  return result.ok ? result.value : undefined;
};

describe("token source: refreshing", () => {
  test("an hour's token is used until 5 minutes before its end, then refreshed while it is still given out", async () => {
    const server = await started(60 * MINUTE);
    server.at(55 * MINUTE - 1);
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(server.requests, 1);
    server.at(55 * MINUTE);
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(server.requests, 2);
    (await server.next()).give(60 * MINUTE);
    await nextTurn();
    assert.equal(await tokenOf(server.source), "t2");
    assert.equal(server.requests, 2);
  });

  test("short-lived tokens are refreshed at half their life", async () => {
    for (const lifetime of [1_000, 30_000, 5 * MINUTE, 8 * MINUTE, 10 * MINUTE]) {
      const server = await started(lifetime);
      server.at(lifetime / 2 - 1);
      await server.source.get();
      assert.equal(server.requests, 1);
      server.at(lifetime / 2);
      assert.equal(await tokenOf(server.source), "t1");
      assert.equal(server.requests, 2);
    }
  });

  test("a token of unstated lifetime is taken for one of 10 minutes", async () => {
    const server = await started(undefined);
    server.at(5 * MINUTE - 1);
    await server.source.get();
    assert.equal(server.requests, 1);
    server.at(5 * MINUTE);
    await server.source.get();
    assert.equal(server.requests, 2);
  });

  test("the lifetime counts from when the token was asked for, not from when it came", async () => {
    const server = controlled();
    const first = server.source.get();
    const request = await server.next();
    server.at(20_000);
    request.give(30_000);
    await first;
    server.at(29_999);
    assert.equal(await tokenOf(server.source), "t1");
    server.at(30_000);
    const second = server.source.get();
    (await server.next()).give(30_000);
    assert.deepEqual(await second, { ok: true, value: "t2" });
  });

  test("an expired token isn't given out: everyone waits for the next", async () => {
    const server = await started(10 * MINUTE);
    server.at(10 * MINUTE);
    const waiting = Promise.all([tokenOf(server.source), tokenOf(server.source)]);
    (await server.next()).give(10 * MINUTE);
    assert.deepEqual(await waiting, ["t2", "t2"]);
    assert.equal(server.requests, 2);
  });
});

describe("token source: one request at a time", () => {
  test("a hundred who ask at once share one request", async () => {
    const server = controlled();
    const all = Promise.all(Array.from({ length: 100 }, () => tokenOf(server.source)));
    (await server.next()).give(60 * MINUTE);
    assert.deepEqual(new Set(await all), new Set(["t1"]));
    assert.equal(server.requests, 1);
    assert.deepEqual(server.outcomes, ["ok"]);
  });

  test("a hundred 401s for one token make one refresh, also those that come late", async () => {
    const server = await started(60 * MINUTE);
    for (let count = 0; count < 50; count++) server.source.invalidate("t1");
    const all = Promise.all(Array.from({ length: 50 }, () => tokenOf(server.source)));
    const request = await server.next();
    for (let count = 0; count < 25; count++) server.source.invalidate("t1");
    request.give(60 * MINUTE);
    assert.deepEqual(new Set(await all), new Set(["t2"]));
    for (let count = 0; count < 25; count++) server.source.invalidate("t1");
    assert.equal(await tokenOf(server.source), "t2");
    assert.equal(server.requests, 2);
  });

  test("a 401 while an early refresh is under way waits for that one", async () => {
    const server = await started(60 * MINUTE);
    server.at(56 * MINUTE);
    await server.source.get();
    server.source.invalidate("t1");
    const waiting = tokenOf(server.source);
    (await server.next()).give(60 * MINUTE);
    assert.equal(await waiting, "t2");
    assert.equal(server.requests, 2);
  });

  test("a 401 for a token that isn't the current one changes nothing", async () => {
    const server = await started(60 * MINUTE);
    server.source.invalidate("t0");
    server.source.invalidate("");
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(server.requests, 1);
  });
});

describe("token source: a token server that fails", () => {
  test("an early refresh that fails keeps the old token and is tried again 5 seconds later", async () => {
    for (const failure of ["cut", "down", "refused"] as const) {
      const server = await started(60 * MINUTE);
      server.at(56 * MINUTE);
      await server.source.get();
      const request = await server.next();
      if (failure === "cut") request.cut();
      else request.fail(failure === "refused");
      await nextTurn();
      assert.equal(await tokenOf(server.source), "t1");
      server.at(56 * MINUTE + 4_999);
      assert.equal(await tokenOf(server.source), "t1");
      assert.equal(server.requests, 2);
      server.at(56 * MINUTE + 5_000);
      assert.equal(await tokenOf(server.source), "t1");
      assert.equal(server.requests, 3);
      assert.deepEqual(server.outcomes, ["ok", failure === "refused" ? "refused" : "failed"]);
    }
  });

  test("with no valid token, a failure says whether the credentials are to blame, and the next ask tries again", async () => {
    const server = controlled();
    const ask = async (answer: (request: Pending) => void) => {
      const result = server.source.get();
      answer(await server.next());
      return result;
    };
    assert.deepEqual(await ask((request) => request.cut()), { ok: false, refused: false });
    assert.deepEqual(await ask((request) => request.fail(false)), { ok: false, refused: false });
    assert.deepEqual(await ask((request) => request.fail(true)), { ok: false, refused: true });
    assert.deepEqual(await ask((request) => request.give(60 * MINUTE)), { ok: true, value: "t4" });
    assert.deepEqual(server.outcomes, ["failed", "failed", "refused", "ok"]);
  });

  test("a token that expired while its refresh was failing isn't given out", async () => {
    const server = await started(60 * MINUTE);
    server.at(59 * MINUTE);
    await server.source.get();
    const request = await server.next();
    server.at(60 * MINUTE);
    const waiting = server.source.get();
    request.cut();
    assert.deepEqual(await waiting, { ok: false, refused: false });
  });

  test("a refresh that fails after a 401 doesn't bring the refused token back", async () => {
    const server = await started(60 * MINUTE);
    server.source.invalidate("t1");
    const waiting = server.source.get();
    (await server.next()).fail(false);
    assert.deepEqual(await waiting, { ok: false, refused: false });
  });

  test("a failed early refresh with nobody waiting is no unhandled rejection", async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", onUnhandled);
    try {
      const server = await started(60 * MINUTE);
      server.at(56 * MINUTE);
      await server.source.get();
      (await server.next()).cut();
      await nextTurn();
      await nextTurn();
      assert.deepEqual(unhandled, []);
      assert.equal(server.outcomes.at(-1), "failed");
    } finally {
      process.off("unhandledRejection", onUnhandled);
    }
  });
});
