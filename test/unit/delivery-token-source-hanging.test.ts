import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { TokenResult } from "../../src/delivery/token-source.ts";
import { controlled, HOUR, MINUTE, tokenOf } from "./delivery-token-source-fixture.ts";

const NOT_NOW = { ok: false, refused: false };

/** A server and a clock that also moves the timers. */
const hanging = (t: TestContext) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const server = controlled();
  let now = 0;
  return {
    server,
    async pass(milliseconds: number) {
      now += milliseconds;
      server.at(now);
      t.mock.timers.tick(milliseconds);
      await nextTurn();
    },
    /** What whoever asks now is told; undefined as long as it is nothing. */
    ask() {
      const asked: { told: TokenResult | undefined } = { told: undefined };
      void server.source.get().then((result) => {
        asked.told = result;
      });
      return asked;
    },
  };
};

describe("token source: a token server that hangs", () => {
  test("nobody waits for longer than 1.5 seconds for the same request, whenever they came", async (t) => {
    const { server, pass, ask } = hanging(t);
    const first = ask();
    await pass(1_000);
    const second = ask();
    await pass(499);
    assert.deepEqual([first.told, second.told], [undefined, undefined]);
    await pass(1);
    assert.deepEqual([first.told, second.told], [NOT_NOW, NOT_NOW]);
    assert.equal(server.requests, 1);
  });

  test("whoever comes later sends another request, and its token is everyone's", async (t) => {
    const { server, pass, ask } = hanging(t);
    ask();
    await pass(1_500);
    const all = Array.from({ length: 64 }, ask);
    assert.equal(server.requests, 2, "one for all");
    const hung = await server.next();
    (await server.next()).give(HOUR);
    await nextTurn();
    for (const { told } of all) assert.deepEqual(told, { ok: true, token: { value: "t2" } });
    assert.equal(hung.signal.aborted, true);
    assert.deepEqual(server.outcomes, ["ok", "failed"]);
    assert.equal(await tokenOf(server.source), "t2");
    await pass(30 * MINUTE);
    assert.equal(await tokenOf(server.source), "t2");
    assert.equal(server.requests, 2, "the one that was cut is no reason to refresh early");
  });

  test("a server that is only slow is heard out: the first request's token comes to all", async (t) => {
    const { server, pass, ask } = hanging(t);
    ask();
    const first = await server.next();
    for (let seconds = 0; seconds < 20; seconds++) {
      ask();
      await pass(1_000);
    }
    const last = ask();
    assert.equal(first.signal.aborted, false);
    first.give(HOUR);
    await nextTurn();
    assert.deepEqual(last.told, { ok: true, token: { value: "t1" } });
    assert.equal(await tokenOf(server.source), "t1");
  });

  test("three requests are under way at most, whatever is asked of it", async (t) => {
    const { server, pass, ask } = hanging(t);
    const signals: AbortSignal[] = [];
    for (let time = 0; time < 30_000; time += 100) {
      ask();
      if (server.requests > signals.length) signals.push((await server.next()).signal);
      assert.ok(signals.filter(({ aborted }) => !aborted).length <= 3);
      await pass(100);
    }
    assert.equal(signals.length, 20, "one in 1.5 seconds");
    assert.deepEqual(
      signals.flatMap(({ aborted }, index) => (aborted ? [] : [index])),
      [0, 18, 19],
    );
  });

  test("an early refresh that hangs is left alone as long as the old token is good", async (t) => {
    const { server, pass, ask } = hanging(t);
    ask();
    (await server.next()).give(HOUR);
    await pass(55 * MINUTE);
    for (let time = 0; time < 5 * MINUTE; time += 1_000) {
      assert.equal(await tokenOf(server.source), "t1");
      await pass(1_000);
    }
    assert.equal(server.requests, 2);
    const waiting = ask();
    assert.equal(server.requests, 3);
    await server.next();
    (await server.next()).give(HOUR);
    await nextTurn();
    assert.deepEqual(waiting.told, { ok: true, token: { value: "t3" } });
  });
});
