import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import type { Batch } from "../../src/batching/batch.ts";
import {
  acceptance,
  batchOf,
  createFixture,
  type FixtureOptions,
  ok,
  type Received,
  type Reply,
  takeAll,
} from "./delivery-lane-fixture.ts";

const refuse: Reply = { status: 400 };
const short = ({ phones }: Received): Reply => ok(phones.length - 1);

/** Of a batch of `count` entries, those at these places. */
const phonesAt = (batch: Batch, places: readonly number[]): Set<string | undefined> =>
  new Set(places.map((place) => batch.entries[place]?.phone));

const touches = ({ phones }: Received, chosen: ReadonlySet<string | undefined>): boolean =>
  phones.some((phone) => chosen.has(phone));

/** Runs one property per sub-test context, for each has its own mocked timers. */
const inFixture = async <T>(
  t: TestContext,
  options: FixtureOptions,
  run: (fixture: ReturnType<typeof createFixture>) => Promise<T>,
): Promise<T> => {
  const fixture = createFixture(t, options);
  try {
    return await run(fixture);
  } finally {
    fixture.lane.reset();
    t.mock.timers.reset();
  }
};

const batches = fc.integer({ min: 1, max: 120 }).chain((count) =>
  fc.record({
    count: fc.constant(count),
    bad: fc.uniqueArray(fc.nat({ max: count - 1 }), { maxLength: 12 }),
  }),
);

describe("lane: splitting", () => {
  test("whatever is at fault, exactly that is rejected and everything else delivered, in few requests", async (t) => {
    await fc.assert(
      fc.asyncProperty(
        batches,
        fc.constantFrom(400, 413, 422),
        fc.constantFrom(1, 3, 64),
        async ({ count, bad }, status, maxConcurrency) => {
          const batch = batchOf(count);
          const atFault = phonesAt(batch, bad);
          const respond = (received: Received) =>
            touches(received, atFault) ? { status } : takeAll(received);
          await inFixture(t, { respond, maxConcurrency }, async ({ deliver, settle, requests }) => {
            const delivery = deliver(batch);
            for (let turn = 0; turn < 400 && delivery.outcomes === undefined; turn++) await settle();
            assert.deepEqual(
              acceptance(batch, delivery.outcomes),
              batch.entries.map(({ phone }) => !atFault.has(phone)),
            );
            // A hundred is cut off first, which may take a level more than halving.
            const levels = Math.ceil(Math.log2(Math.max(2, count))) + (count > 100 ? 1 : 0);
            assert.ok(requests.length <= 1 + 2 * bad.length * levels);
            assert.equal(
              new Set(requests.map(({ key }) => key)).size,
              requests.length,
              "each part has its own key",
            );
          });
        },
      ),
      { numRuns: 150 },
    );
  });

  test("one bad entry among a thousand takes no more than 25 requests, wherever it is", async (t) => {
    const batch = batchOf(1_000);
    for (const place of [0, 1, 499, 500, 501, 734, 998, 999]) {
      const atFault = phonesAt(batch, [place]);
      const respond = (received: Received) => (touches(received, atFault) ? refuse : takeAll(received));
      await inFixture(t, { respond }, async ({ deliver, settle, requests }) => {
        const delivery = deliver(batch);
        for (let turn = 0; turn < 40; turn++) await settle();
        assert.deepEqual(
          acceptance(batch, delivery.outcomes),
          batch.entries.map((_, index) => index !== place),
        );
        assert.ok(requests.length <= 25, `${requests.length} requests`);
      });
    }
  });

  test("five bad entries among a thousand take no more than 100 requests, wherever they are", async (t) => {
    const batch = batchOf(1_000);
    // The last ones are as far apart in the tree of halves as they can be.
    for (const places of [
      [0, 1, 2, 3, 4],
      [0, 250, 500, 750, 999],
      [99, 100, 499, 500, 999],
      [60, 310, 460, 660, 910],
    ]) {
      const atFault = phonesAt(batch, places);
      const respond = (received: Received) => (touches(received, atFault) ? refuse : takeAll(received));
      await inFixture(t, { respond }, async ({ deliver, settle, requests }) => {
        const delivery = deliver(batch);
        for (let turn = 0; turn < 60; turn++) await settle();
        assert.deepEqual(
          acceptance(batch, delivery.outcomes),
          batch.entries.map((_, index) => !places.includes(index)),
        );
        assert.ok(requests.length <= 100, `${requests.length} requests`);
      });
    }
  });

  test("a batch that is refused whole is rejected entry by entry", async (t) => {
    const batch = batchOf(50);
    await inFixture(t, { respond: () => refuse }, async ({ deliver, settle, requests, lane }) => {
      const delivery = deliver(batch);
      for (let turn = 0; turn < 40; turn++) await settle();
      assert.ok(acceptance(batch, delivery.outcomes).every((accepted) => !accepted));
      assert.equal(requests.length, 99);
      assert.equal(lane.state().closure, null, "the environment is well");
    });
  });

  test("what is answered short is never counted as delivered, and is sent until it is taken", async (t) => {
    await fc.assert(
      fc.asyncProperty(batches, async ({ count, bad }) => {
        // Five single ones in a row close the lane; that is another test.
        fc.pre(bad.length < 5);
        const batch = batchOf(count);
        const notTaken = phonesAt(batch, bad);
        let healed = false;
        const respond = (received: Received) =>
          !healed && touches(received, notTaken) ? short(received) : takeAll(received);
        await inFixture(t, { respond }, async ({ deliver, settle, advance, requests, lane }) => {
          const delivery = deliver(batch);
          for (let turn = 0; turn < 40; turn++) await settle();
          assert.equal(delivery.outcomes === undefined, bad.length > 0);
          assert.equal(lane.state().waitingForRetry, bad.length);
          const before = requests.length;
          healed = true;
          await advance(500);
          assert.deepEqual(
            acceptance(batch, delivery.outcomes),
            batch.entries.map(() => true),
          );
          assert.equal(requests.length - before, bad.length, "only what was not taken is sent again");
        });
      }),
      { numRuns: 50 },
    );
  });

  test("faults of every kind mixed at random: one key has one body, and everything ends", async (t) => {
    const kinds = fc.constantFrom("ok", "ok", "ok", "short", "429", "500", "cut", "401", "403", "retry");
    await fc.assert(
      fc.asyncProperty(batches, fc.infiniteStream(kinds), async ({ count, bad }, faults) => {
        const batch = batchOf(count);
        const atFault = phonesAt(batch, bad);
        let left = 60;
        const respond = (received: Received): Reply => {
          const fault = left-- > 0 ? faults.next().value : "ok";
          if (fault === "cut") throw new Error("socket hang up");
          if (fault === "short") return short(received);
          if (fault === "retry") return { status: 503, headers: { "retry-after": "2" } };
          if (fault !== "ok" && fault !== undefined) return { status: Number(fault) };
          return touches(received, atFault) ? refuse : takeAll(received);
        };
        await inFixture(t, { respond }, async ({ deliver, advance, requests }) => {
          const delivery = deliver(batch);
          for (let seconds = 0; seconds < 3_600 && delivery.outcomes === undefined; seconds += 5)
            await advance(5_000);
          assert.deepEqual(
            acceptance(batch, delivery.outcomes),
            batch.entries.map(({ phone }) => !atFault.has(phone)),
          );
          const bodies = new Map<string, string>();
          for (const { key, body } of requests) {
            assert.equal(bodies.get(key) ?? body, body, `${key} came with two bodies`);
            bodies.set(key, body);
          }
        });
      }),
      { numRuns: 40 },
    );
  });

  test("the parts of a split batch go before the other batches of its partition", async (t) => {
    const batch = batchOf(4);
    const atFault = phonesAt(batch, [3]);
    const respond = (received: Received) => (touches(received, atFault) ? refuse : takeAll(received));
    await inFixture(t, { respond, maxConcurrency: 1 }, async ({ deliver, settle, requests }) => {
      deliver(batch);
      const later = deliver(batchOf(1, { first: 10 }));
      for (let turn = 0; turn < 20; turn++) await settle();
      assert.ok(later.outcomes !== undefined);
      assert.deepEqual(
        requests.map(({ phones }) => phones.map((phone) => Number(phone.slice(-2)))),
        [[0, 1, 2, 3], [0, 1], [2, 3], [2], [3], [10]],
      );
    });
  });
});
