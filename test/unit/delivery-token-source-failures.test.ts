import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  controlled,
  fetched,
  HOUR,
  MINUTE,
  type Pending,
  SECOND,
  started,
  tokenOf,
} from "./delivery-token-source-fixture.ts";

describe("token source: a token server that fails", () => {
  const FAILURES: Record<string, (request: Pending) => void> = {
    cut: (request) => request.cut(),
    down: (request) => request.fail(false),
    refused: (request) => request.fail(true),
  };

  test("an early refresh that fails keeps the old token and is tried again 5 seconds later", async () => {
    for (const [name, fail] of Object.entries(FAILURES)) {
      const server = await started(HOUR);
      server.at(56 * MINUTE);
      await server.source.get();
      fail(await server.next());
      await nextTurn();
      assert.equal(await tokenOf(server.source), "t1");
      server.at(56 * MINUTE + 4_999);
      assert.equal(await tokenOf(server.source), "t1");
      assert.equal(server.requests, 2);
      server.at(56 * MINUTE + 5_000);
      assert.equal(await tokenOf(server.source), "t1");
      assert.equal(server.requests, 3);
      assert.deepEqual(server.outcomes, ["ok", name === "refused" ? "refused" : "failed"]);
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
    assert.deepEqual(await ask((request) => request.give(HOUR)), { ok: true, token: { value: "t4" } });
    assert.deepEqual(server.outcomes, ["failed", "failed", "refused", "ok"]);
  });

  test("a token that expired while its refresh was failing isn't given out", async () => {
    const server = await started(HOUR);
    server.at(60 * MINUTE - SECOND);
    await server.source.get();
    const request = await server.next();
    server.at(60 * MINUTE);
    const waiting = server.source.get();
    request.cut();
    assert.deepEqual(await waiting, { ok: false, refused: false });
  });

  test("a refresh that fails after a 401 doesn't bring the refused token back", async () => {
    const server = controlled();
    server.source.invalidate(await fetched(server, HOUR));
    const waiting = server.source.get();
    (await server.next()).fail(false);
    assert.deepEqual(await waiting, { ok: false, refused: false });
  });

  test("a failed early refresh with nobody waiting is no unhandled rejection", async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", onUnhandled);
    try {
      const server = await started(HOUR);
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

describe("token source: a token server that asks to wait", () => {
  test("those without a token are told for how long, and none asks it before", async () => {
    const server = controlled();
    const waiting = Promise.all([server.source.get(), server.source.get()]);
    (await server.next()).fail(false, 20 * SECOND);
    const told = { ok: false, refused: false, retryAfter: 20 * SECOND };
    assert.deepEqual(await waiting, [told, told]);
    server.at(15 * SECOND);
    assert.deepEqual(await server.source.get(), { ok: false, refused: false, retryAfter: 5 * SECOND });
    assert.equal(server.requests, 1);
    assert.deepEqual(server.outcomes, ["failed"], "only requests count");
    server.at(20 * SECOND);
    assert.equal((await fetched(server, HOUR)).value, "t2");
  });

  test("an early refresh waits that long, with the old token as long as it lives", async () => {
    const server = await started(HOUR);
    server.at(55 * MINUTE);
    await server.source.get();
    (await server.next()).fail(false, 4 * MINUTE);
    await nextTurn();
    server.at(59 * MINUTE - 1);
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(server.requests, 2);
    server.at(59 * MINUTE);
    assert.equal(await tokenOf(server.source), "t1");
    assert.equal(server.requests, 3);
  });

  test("a token that expires or is refused meanwhile isn't given out, and the server is left alone", async () => {
    for (const end of ["expired", "refused"]) {
      const server = controlled();
      const first = await fetched(server, HOUR);
      server.at(58 * MINUTE);
      await server.source.get();
      (await server.next()).fail(false, 5 * MINUTE);
      await nextTurn();
      assert.equal(await tokenOf(server.source), "t1");
      if (end === "refused") server.source.invalidate(first);
      server.at(60 * MINUTE);
      assert.deepEqual(await server.source.get(), { ok: false, refused: false, retryAfter: 3 * MINUTE });
      assert.equal(server.requests, 2);
      server.at(63 * MINUTE);
      assert.equal((await fetched(server, HOUR)).value, "t3");
    }
  });

  test("a wait that is over is forgotten by the next failure", async () => {
    const server = controlled();
    const ask = async (answer: (request: Pending) => void) => {
      const result = server.source.get();
      answer(await server.next());
      return result;
    };
    await ask((request) => request.fail(false, SECOND));
    server.at(SECOND);
    assert.deepEqual(await ask((request) => request.cut()), { ok: false, refused: false });
    assert.deepEqual(await ask((request) => request.fail(true)), { ok: false, refused: true });
  });
});
