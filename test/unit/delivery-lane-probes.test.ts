import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Answer, Dialect } from "../../src/delivery/dialects/dialect.ts";
import {
  batchOf,
  createFixture,
  deferred,
  type Fixture,
  type FixtureOptions,
  ok,
  type Received,
  type Reply,
  takeAll,
} from "./delivery-lane-fixture.ts";

const later = (milliseconds: number, reply: Reply): Promise<Reply> =>
  new Promise((resolve) => setTimeout(() => resolve(reply), milliseconds));

const deliverMany = (fixture: Fixture, count: number, { size = 1, partition = 0, first = 0 } = {}) =>
  Array.from({ length: count }, (_, index) =>
    fixture.deliver(batchOf(size, { partition, first: first + index * size })),
  );

/**
 * A lane whose environment took ten seconds for an answer, so that a further probe waits for seconds, and then was down;
 * from now on it answers as given.
 */
const slowThenDown = async (
  t: TestContext,
  respond: (received: Received, nth: number) => Reply | Promise<Reply>,
  options: FixtureOptions = {},
) => {
  let mode: "slow" | "down" | "given" = "slow";
  let given = 0;
  const fixture = createFixture(t, {
    requestsPerSecond: 100,
    respond(received) {
      if (mode === "slow") return later(10_000, takeAll(received));
      return mode === "down" ? { status: 500 } : respond(received, ++given);
    },
    ...options,
  });
  const [slow] = deliverMany(fixture, 1, { first: 900 });
  await fixture.settle();
  await fixture.advance(10_000, 1_000);
  assert.ok(slow?.outcomes);
  mode = "down";
  const deliveries = deliverMany(fixture, 20, { size: 4 });
  for (let time = 0; time < 5_000 && fixture.lane.state().closure === null; time += 100) {
    await fixture.advance(100, 10);
  }
  mode = "given";
  return { ...fixture, deliveries };
};

const millisecondsToOpen = async ({ lane, advance }: Pick<Fixture, "lane" | "advance">): Promise<number> => {
  const from = Date.now();
  while (lane.state().closure !== null && Date.now() - from < 60_000) await advance(50, 50);
  return Date.now() - from;
};

describe("lane: a probe that ends without a word on the environment is followed by another at once", () => {
  test("the first 401", async (t) => {
    const run = await slowThenDown(t, (received, nth) => (nth === 1 ? { status: 401 } : takeAll(received)));
    // The backoff to the first probe is a second at most.
    const passed = await millisecondsToOpen(run);
    assert.ok(passed <= 1_100, `${passed} ms`);
  });

  test("a short answer, for which the batch is split", async (t) => {
    const run = await slowThenDown(t, (received, nth) => (nth === 1 ? ok(3) : takeAll(received)));
    const passed = await millisecondsToOpen(run);
    assert.ok(passed <= 1_100, `${passed} ms`);
  });

  test("one that was held back by an operator, who then resumes", async (t) => {
    const token = deferred<Reply>();
    const tokenOf = (lifetime: number): Reply => ({
      status: 200,
      body: JSON.stringify({ access_token: "t", expires_in: lifetime }),
    });
    let isDown = true;
    const run = await slowThenDown(t, (received) => (isDown ? { status: 500 } : takeAll(received)), {
      respondToken: (nth) => (nth === 1 ? tokenOf(30) : token.promise),
    });
    await run.advance(60_000, 50);
    isDown = false;
    for (let time = 0; time < 5_000 && run.lane.state().inFlight === 0; time += 10) await run.advance(10);
    run.lane.pause();
    token.resolve(tokenOf(3_600));
    await run.settle();
    assert.equal(run.lane.state().inFlight, 0);
    assert.equal(run.requests.length, run.attempts.length, "the probe wasn't sent");
    run.lane.resume();
    await run.settle();
    assert.ok(run.attempts.at(-1) === "acknowledged");
  });

  test("entries that are refused without a request", async (t) => {
    let isDown = true;
    const dialect: Dialect = {
      maxEntries: 100,
      scope: undefined,
      requestToken: () => Promise.reject(new Error("the lane has its own token source")),
      submit(_send, { entries }) {
        if (isDown) return Promise.reject(new Error("socket hang up"));
        const isForeign = Number(entries[0]?.phone.slice(-4)) < 30;
        return Promise.resolve<Answer>({
          verdict: { kind: isForeign ? "refused" : "acknowledged" },
          httpStatus: isForeign ? null : 200,
          requestId: null,
        });
      },
    };
    const fixture = createFixture(t, { dialect, requestsPerSecond: 100 });
    const deliveries = deliverMany(fixture, 40);
    await fixture.advance(5_000, 50);
    assert.ok(deliveries.every(({ outcomes }) => outcomes === undefined));
    isDown = false;
    const passed = await millisecondsToOpen(fixture);
    // The backoff, and thirty tokens of a bucket of 100 a second.
    assert.ok(passed <= 1_400, `${passed} ms`);
    await fixture.advance(2_000, 50);
    assert.deepEqual(
      deliveries.map(({ outcomes }) => outcomes?.[0]?.accepted),
      deliveries.map((_, index) => index >= 30),
    );
  });
});

describe("lane: a probe that hangs", () => {
  test("is followed by another within 3 seconds, however slow the last answer before the outage was", async (t) => {
    let hangs = true;
    const run = await slowThenDown(t, (received) =>
      hangs ? deferred<Reply>().promise : later(100, takeAll(received)),
    );
    await run.advance(2_000, 50);
    for (let time = 0; time < 20_000; time += 50) {
      await run.advance(50);
      assert.ok((run.lane.state().closure?.until ?? 0) >= Date.now(), "the state tells when, not since when");
    }
    hangs = false;
    const passed = await millisecondsToOpen(run);
    assert.ok(passed <= 3_150, `${passed} ms`);
  });
});

describe("lane: after a reset", () => {
  /** Answers nothing, not even to an abort. */
  const deaf = (t: TestContext) => {
    const answers: { key: string; give(answer: Answer): void }[] = [];
    let isDown = true;
    const dialect: Dialect = {
      maxEntries: Number.POSITIVE_INFINITY,
      scope: undefined,
      requestToken: () => Promise.reject(new Error("the lane has its own token source")),
      submit(_send, { key }) {
        if (isDown) return Promise.reject(new Error("socket hang up"));
        const { promise, resolve } = deferred<Answer>();
        answers.push({ key, give: resolve });
        return promise;
      },
    };
    const fixture = createFixture(t, { dialect, requestsPerSecond: 100 });
    return {
      fixture,
      answers,
      hang: () => {
        isDown = false;
      },
    };
  };
  const taken: Answer = { verdict: { kind: "acknowledged" }, httpStatus: 201, requestId: null };

  test("no probe from before takes a place, or is sent again", async (t) => {
    const { fixture, answers, hang } = deaf(t);
    const before = deliverMany(fixture, 6);
    await fixture.advance(1_000, 50);
    hang();
    await fixture.advance(8_000, 50);
    assert.equal(fixture.lane.state().inFlight, 4);
    fixture.lane.reset();
    assert.equal(fixture.lane.state().inFlight, 0);
    const old = answers.splice(0);
    const after = deliverMany(fixture, 6, { partition: 1, first: 100 });
    await fixture.advance(10_000, 50);
    assert.ok(answers.length >= 6, `${answers.length} probes`);
    for (const { give } of [...old, ...answers]) give(taken);
    for (let turn = 0; turn < 5; turn++) {
      await fixture.advance(2_000, 50);
      for (const { give } of answers) give(taken);
    }
    assert.ok(answers.every(({ key }) => key.includes(":1:")));
    assert.ok(after.every(({ outcomes }) => outcomes?.[0]?.accepted));
    assert.ok(before.every(({ outcomes }) => outcomes === undefined));
    assert.equal(fixture.lane.state().inFlight, 0);
  });

  test("drain waits for what was started since, and for nothing else", async (t) => {
    const { fixture, answers, hang } = deaf(t);
    hang();
    deliverMany(fixture, 2);
    await fixture.settle();
    fixture.lane.reset();
    const [old] = answers.splice(0);
    const [delivery] = deliverMany(fixture, 1, { first: 100 });
    await fixture.settle();
    let isDrained = false;
    void fixture.lane.drain().then(() => {
      isDrained = true;
    });
    old?.give(taken);
    await fixture.settle();
    assert.equal(isDrained, false);
    answers[0]?.give(taken);
    await fixture.settle();
    assert.equal(delivery?.outcomes?.[0]?.accepted, true);
    assert.equal(isDrained, true, "one of before is still on its way");
  });
});

describe("lane: little traffic, then much", () => {
  test("latencies that vary when two are in flight take nothing from a burst, which gets the quota at once", async (t) => {
    let latency = 100;
    const fixture = createFixture(t, {
      requestsPerSecond: 100,
      respond: (received) => later(latency, takeAll(received)),
    });
    for (let second = 0; second < 60; second++) {
      if (second > 20) latency = second % 16 < 8 ? 100 : 180;
      deliverMany(fixture, 2, { first: second * 2 });
      await fixture.advance(1_000, 20);
    }
    assert.equal(fixture.lane.state().concurrencyLimit, 21);
    latency = 100;
    const before = fixture.requests.length;
    deliverMany(fixture, 300, { first: 1_000 });
    await fixture.advance(1_000, 10);
    // A second's quota, and the burst of a tenth of one.
    assert.equal(fixture.requests.length - before, 110);
  });
});
