import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { batchOf, createFixture, held, type Reply, takeAll } from "./delivery-lane-fixture.ts";

describe("lane: concurrency", () => {
  test("never more than maxConcurrency requests are under way, and as many as that if there is work", async (t) => {
    for (const maxConcurrency of [1, 2, 7, 64]) {
      await t.test(`${maxConcurrency}`, async (inner) => {
        const environment = held();
        const { deliver, settle, lane } = createFixture(inner, {
          respond: environment.respond,
          maxConcurrency,
        });
        const deliveries = Array.from({ length: 100 }, (_, index) => deliver(batchOf(1, { first: index })));
        for (let left = 100; left > 0; left -= maxConcurrency) {
          await settle();
          assert.equal(environment.waiting.length, Math.min(left, maxConcurrency));
          assert.equal(lane.state().inFlight, Math.min(left, maxConcurrency));
          environment.giveAll();
        }
        await settle();
        assert.ok(deliveries.every(({ outcomes }) => outcomes?.[0]?.accepted));
      });
    }
  });

  test("whatever the environment answers and however long it takes, the bound holds", async (t) => {
    const statuses = fc.constantFrom(201, 201, 201, 400, 401, 403, 429, 500, 503);
    const latencies = fc.integer({ min: 0, max: 400 });
    await fc.assert(
      fc.asyncProperty(
        fc.infiniteStream(statuses),
        fc.infiniteStream(latencies),
        fc.integer({ min: 1, max: 9 }),
        async (answers, delays, maxConcurrency) => {
          let underWay = 0;
          let most = 0;
          let faults = 150;
          const fixture = createFixture(t, {
            maxConcurrency,
            async respond(received) {
              most = Math.max(most, ++underWay);
              await new Promise((resolve) => setTimeout(resolve, delays.next().value));
              underWay--;
              const status = faults-- > 0 ? (answers.next().value ?? 201) : 201;
              return status === 201 ? takeAll(received) : { status };
            },
          });
          try {
            const deliveries = Array.from({ length: 30 }, (_, index) =>
              fixture.deliver(batchOf(4, { first: index * 4, partition: index % 3 })),
            );
            const isDone = () => deliveries.every(({ outcomes }) => outcomes !== undefined);
            for (let count = 0; count < 10_000 && !isDone(); count++) await fixture.advance(500);
            assert.ok(isDone());
            assert.ok(most <= maxConcurrency, `${most} at once`);
          } finally {
            fixture.lane.reset();
            t.mock.timers.reset();
          }
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe("lane: quota", () => {
  test("its rate is kept over any second, and used in full", async (t) => {
    const { deliver, advance, requests } = createFixture(t, { requestsPerSecond: 50 });
    for (let index = 0; index < 300; index++) deliver(batchOf(1, { first: index }));
    await advance(5_000, 5);
    const start = 1_000_000;
    for (let from = start; from < start + 4_000; from += 100) {
      const inWindow = requests.filter(({ at }) => at >= from && at < from + 1_000).length;
      assert.ok(inWindow <= 50 + 5, `${inWindow} in one second`);
    }
    assert.ok(requests.length >= 0.95 * 250, `${requests.length} in 5 s`);
  });

  test("every attempt counts, retries and parts of split batches too", async (t) => {
    const statuses: Record<string, Reply> = {
      "retries without a backoff": { status: 500 },
      "parts of a split batch": { status: 400 },
      "401s": { status: 401 },
    };
    for (const [what, reply] of Object.entries(statuses)) {
      await t.test(what, async (inner) => {
        const { deliver, advance, requests } = createFixture(inner, {
          requestsPerSecond: 10,
          respond: () => reply,
          random: () => 0,
        });
        for (let index = 0; index < 20; index++) deliver(batchOf(16, { first: index * 16 }));
        await advance(10_000, 10);
        assert.ok(requests.length <= 101, `${requests.length} in 10 s at 10/s`);
        assert.ok(requests.length >= 90, `${requests.length} in 10 s at 10/s`);
      });
    }
  });

  test("a replica takes its share only; without a share it sends nothing", async (t) => {
    const { deliver, advance, requests, lane } = createFixture(t, { requestsPerSecond: 100, share: 0 });
    for (let index = 0; index < 500; index++) deliver(batchOf(1, { first: index }));
    await advance(10_000, 50);
    assert.equal(requests.length, 0);
    lane.setShare(0.25);
    await advance(4_000, 10);
    assert.ok(requests.length >= 95 && requests.length <= 104, `${requests.length} in 4 s at 25/s`);
    lane.setShare(0);
    const before = requests.length;
    await advance(10_000, 50);
    assert.equal(requests.length, before);
  });

  test("the wait for the quota is told for each attempt; time with a closed lane isn't part of it", async (t) => {
    const environment = held();
    const { deliver, advance, settle, rateWaits } = createFixture(t, {
      requestsPerSecond: 1,
      respond: environment.respond,
    });
    deliver(batchOf(1));
    deliver(batchOf(1, { first: 1 }));
    await settle();
    assert.deepEqual(rateWaits, [0]);
    await advance(1_000, 10);
    assert.deepEqual(rateWaits, [0, 1]);
    deliver(batchOf(1, { first: 2 }));
    await advance(100);
    environment.giveAll({ status: 503, headers: { "retry-after": "60" } });
    await advance(59_000, 100);
    assert.equal(rateWaits.length, 2);
    await advance(2_000, 10);
    assert.ok((rateWaits[2] ?? 99) < 1, `${rateWaits[2]} s of waiting for the quota`);
  });
});

describe("lane: fairness", () => {
  test("a busy partition doesn't starve the others", async (t) => {
    const { deliver, settle, requests } = createFixture(t, { maxConcurrency: 1 });
    for (let index = 0; index < 100; index++) deliver(batchOf(1, { first: index, partition: 0 }));
    for (let partition = 1; partition <= 3; partition++) {
      for (let index = 0; index < 5; index++)
        deliver(batchOf(1, { first: 1_000 * partition + index, partition }));
    }
    for (let turn = 0; turn < 50; turn++) await settle();
    const order = requests.map(({ key }) => Number(key.split(":")[1]));
    assert.equal(order.length, 115);
    for (let from = 1; from + 4 <= 20; from += 4) {
      assert.deepEqual(order.slice(from, from + 4).sort(), [0, 1, 2, 3], "each partition has its turn");
    }
    for (const partition of [0, 1, 2, 3]) {
      const offsets = requests
        .filter((_, index) => order[index] === partition)
        .map(({ key }) => Number(key.split(":")[2]?.split("-")[0]));
      assert.deepEqual(
        offsets,
        [...offsets].sort((one, other) => one - other),
        "in order within a partition",
      );
    }
  });
});
