import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import type { Dialect, EntryOutcome } from "../../src/delivery/dialects/dialect.ts";
import {
  acceptance,
  createFixture,
  type FixtureOptions,
  held,
  inTurn,
  ok,
  type Received,
  type Reply,
  takeAll,
} from "./delivery-lane-fixture.ts";
import { batchOf, compressed, createReplacing, FAULTS } from "./delivery-lane-order-model.ts";

const numbersOf = ({ phones }: Received): number[] => phones.map((phone) => Number(phone.slice(-4)));

const inFixture = async (
  t: TestContext,
  options: FixtureOptions,
  run: (fixture: ReturnType<typeof createFixture>) => Promise<void>,
): Promise<void> => {
  const fixture = createFixture(t, options);
  try {
    await run(fixture);
  } finally {
    fixture.lane.reset();
    t.mock.timers.reset();
  }
};

const year = fc.constantFrom(2030, 2031, 2032, null);
const wishes = fc.dictionary(
  fc.nat({ max: 7 }).map((phone) => String(phone)),
  year,
  { minKeys: 1, maxKeys: 5 },
);

describe("lane: the order of wishes about one phone", () => {
  test("is that of the partition, whatever is late, lost, retried or split; so the last one is the last word", async (t) => {
    const what = fc.record({
      batches: fc.array(fc.record({ wishes, partition: fc.nat({ max: 1 }) }), {
        minLength: 2,
        maxLength: 14,
      }),
      trouble: fc.infiniteStream(
        fc.record({ latency: fc.nat({ max: 900 }), fault: fc.constantFrom(...FAULTS) }),
      ),
      maxEntries: fc.constantFrom(2, 100),
    });
    await fc.assert(
      fc.asyncProperty(what, async ({ batches, trouble, maxEntries }) => {
        // Fewer than the failures that the lane would put up with.
        let faults = 7;
        const environment = createReplacing(() => {
          const { latency, fault } = trouble.next().value ?? { latency: 0, fault: "ok" };
          return { latency, fault: fault === "ok" || faults-- > 0 ? fault : "ok" };
        }, maxEntries);
        await inFixture(t, { respond: environment.respond }, async ({ deliver, advance, defects, lane }) => {
          const all = batches.map(({ wishes, partition }, index) => {
            // Each phone has its partition, as with producers that key by phone.
            const own = Object.entries(wishes).map(([phone, year]) => [Number(phone) + 10 * partition, year]);
            return batchOf(Object.fromEntries(own), { partition, first: index * 10 });
          });
          const deliveries = all.map((batch) => deliver(batch));
          for (let s = 0; s < 600 && deliveries.some(({ outcomes }) => outcomes === undefined); s++)
            await advance(1_000, 100);
          assert.deepEqual(defects, []);
          assert.deepEqual(environment.races, []);
          all.forEach((batch, index) => {
            assert.ok(acceptance(batch, deliveries[index]?.outcomes).every((accepted) => accepted));
          });
          for (const [phone, applied] of environment.applied) {
            const asked = all.flatMap(({ entries }) => entries.filter((entry) => entry.phone === phone));
            assert.deepEqual(compressed(applied), compressed(asked));
          }
          assert.equal(lane.state().queued, 0);
        });
      }),
      { numRuns: 150 },
    );
  });

  test("over partitions is that of their turns: never two at a time", async (t) => {
    const what = fc.record({
      batches: fc.array(fc.record({ wishes, partition: fc.nat({ max: 3 }) }), {
        minLength: 2,
        maxLength: 14,
      }),
      latencies: fc.infiniteStream(fc.nat({ max: 900 })),
    });
    await fc.assert(
      fc.asyncProperty(what, async ({ batches, latencies }) => {
        const environment = createReplacing(
          () => ({ latency: latencies.next().value ?? 0, fault: "ok" }),
          100,
        );
        await inFixture(t, { respond: environment.respond }, async ({ deliver, advance }) => {
          const deliveries = batches.map(({ wishes, partition }, index) =>
            deliver(batchOf(wishes, { partition, first: index * 10 })),
          );
          for (let s = 0; s < 60 && deliveries.some(({ outcomes }) => outcomes === undefined); s++)
            await advance(1_000, 100);
          assert.deepEqual(environment.races, []);
          assert.ok(deliveries.every(({ outcomes }) => outcomes !== undefined));
        });
      }),
      { numRuns: 60 },
    );
  });

  test("holds back a different wish only: equal ones, and other phones, go at once", async (t) => {
    const environment = held();
    const { deliver, settle, requests, lane } = createFixture(t, { respond: environment.respond });
    deliver(batchOf({ 1: null, 2: 2030 }, { first: 0 }));
    deliver(batchOf({ 1: null, 3: 2031 }, { first: 10 }));
    deliver(batchOf({ 2: 2030, 4: null }, { first: 20 }));
    const waits = deliver(batchOf({ 2: null, 5: null }, { first: 30 }));
    deliver(batchOf({ 6: 2030 }, { first: 40 }));
    await settle();
    assert.deepEqual(requests.map(numbersOf), [[1, 2], [1, 3], [2, 4], [6]]);
    assert.deepEqual([lane.state().queued, lane.state().inFlight], [1, 4]);
    environment.waiting[0]?.give();
    await settle();
    assert.equal(requests.length, 4, "the third batch still has the older wish");
    environment.waiting[2]?.give();
    await settle();
    assert.deepEqual(requests.slice(4).map(numbersOf), [[2, 5]]);
    environment.giveAll();
    await settle();
    assert.ok(waits.outcomes);
    assert.equal(lane.state().queued, 0);
  });

  test("holds back what is behind a part that waits, for its other phones too", async (t) => {
    const environment = held();
    const { deliver, settle, requests } = createFixture(t, { respond: environment.respond });
    deliver(batchOf({ 1: 2030 }, { first: 0 }));
    deliver(batchOf({ 1: 2031, 2: 2031 }, { first: 10 }));
    deliver(batchOf({ 2: 2032 }, { first: 20 }));
    for (const expected of [[[1]], [[1], [1, 2]], [[1], [1, 2], [2]]]) {
      await settle();
      assert.deepEqual(requests.map(numbersOf), expected);
      environment.giveAll();
    }
  });

  test("ends with a refusal: the later wish is sent when the earlier one was rejected", async (t) => {
    const environment = held();
    const { deliver, settle, requests } = createFixture(t, { respond: environment.respond });
    const refused = deliver(batchOf({ 1: 2030 }, { first: 0 }));
    deliver(batchOf({ 1: null }, { first: 10 }));
    await settle();
    assert.equal(requests.length, 1);
    environment.giveAll({ status: 422 });
    await settle();
    assert.equal(refused.outcomes?.[0]?.accepted, false);
    assert.equal(requests.length, 2);
    environment.giveAll();
  });

  test("waits for the entry only, not for the rest of a batch that was split", async (t) => {
    const respond = (received: Received): Reply =>
      received.phones.length > 1 ? { status: 413 } : numbersOf(received)[0] === 2 ? ok(0) : takeAll(received);
    const { deliver, settle, advance, requests } = createFixture(t, { respond });
    const stuck = deliver(batchOf({ 1: 2030, 2: 2030 }, { first: 0 }));
    const later = deliver(batchOf({ 1: 2031 }, { first: 10 }));
    await settle();
    await advance(100, 10);
    assert.equal(stuck.outcomes, undefined);
    assert.ok(later.outcomes);
    assert.deepEqual(requests.map(numbersOf), [[1, 2], [1], [2], [1]]);
  });

  test("lasts for an entry that is to be sent again, though others of its request were taken", async (t) => {
    const dialect: Dialect & { sent: number[][] } = {
      sent: [],
      maxEntries: Number.POSITIVE_INFINITY,
      scope: undefined,
      requestToken: async () => ({ ok: true, token: { value: "t", lifetime: undefined } }),
      async submit(_send, { entries }) {
        this.sent.push(entries.map(({ phone }) => Number(phone.slice(-4))));
        const outcomes = entries.map(
          (_, index): EntryOutcome =>
            index === 0 ? { kind: "taken" } : { kind: "retry", detail: "not added" },
        );
        return { verdict: { kind: "entries", outcomes }, httpStatus: 200, requestId: null };
      },
    };
    const { deliver, settle } = createFixture(t, { dialect });
    const { unrecorded } = deliver(batchOf({ 1: 2030, 2: 2030 }, { first: 0 }), { records: false });
    deliver(batchOf({ 1: 2031 }, { first: 10 }));
    deliver(batchOf({ 2: 2031 }, { first: 20 }));
    await settle();
    assert.deepEqual(dialect.sent, [[1, 2], [1]]);
    unrecorded[0]?.();
    await settle();
    assert.deepEqual(dialect.sent, [[1, 2], [1], [2], [2]]);
  });

  test("doesn't shorten the backoff of what the others wait for", async (t) => {
    const { deliver, advance, requests } = createFixture(t, { respond: inTurn({ status: 500 }) });
    deliver(batchOf({ 1: 2030 }, { first: 0 }));
    await advance(10, 1);
    deliver(batchOf({ 1: 2031 }, { first: 10 }));
    await advance(400, 10);
    assert.equal(requests.length, 1);
    await advance(200, 10);
    assert.deepEqual(
      requests.map(({ key }) => key.split(":")[2]),
      ["0-0", "0-0", "10-10"],
    );
  });

  test("is forgotten when the lane is reset", async (t) => {
    const environment = held();
    const { deliver, settle, requests, lane } = createFixture(t, { respond: environment.respond });
    deliver(batchOf({ 1: 2030 }, { first: 0 }));
    deliver(batchOf({ 1: 2031 }, { first: 10 }));
    await settle();
    assert.equal(lane.state().queued, 1);
    lane.reset();
    assert.equal(lane.state().queued, 0);
    deliver(batchOf({ 1: null }, { first: 20 }));
    await settle();
    assert.deepEqual(
      requests.map(({ key }) => key.split(":")[2]),
      ["0-0", "20-20"],
    );
    environment.giveAll();
  });

  test("outlives an outage: nothing overtakes while the lane is closed, however long", async (t) => {
    let isDown = true;
    const respond = (received: Received): Reply => (isDown ? { status: 500 } : takeAll(received));
    const { deliver, advance, requests, lane } = createFixture(t, { respond });
    const batches = Array.from({ length: 8 }, (_, index) =>
      deliver(batchOf({ 1: 2030 + index, [index + 10]: null }, { first: index * 10 })),
    );
    await advance(4 * 3_600_000, 500);
    assert.equal(lane.state().closure?.reason, "unavailable");
    assert.ok(
      requests.every((received) => numbersOf(received).includes(10)),
      "only the first one was tried",
    );
    isDown = false;
    const before = requests.length;
    await advance(20_000, 100);
    assert.ok(batches.every(({ outcomes }) => outcomes !== undefined));
    assert.deepEqual(
      requests.slice(before).map((received) => numbersOf(received)[1]),
      [10, 11, 12, 13, 14, 15, 16, 17],
    );
  });

  test("gives way to delivery: what an environment fails on alone doesn't hold back for ever", async (t) => {
    // It chokes on the first batch, and on nothing else.
    const respond = (received: Received): Reply =>
      received.key.includes(":0-") ? { status: 500 } : takeAll(received);
    const { deliver, advance, lane, requests } = createFixture(t, { respond });
    const poison = deliver(batchOf({ 1: 2030, 2: null }, { first: 0 }));
    const waits = deliver(batchOf({ 1: 2031, 3: null }, { first: 10 }));
    let others = 0;
    while (waits.outcomes === undefined && others < 1_000) {
      deliver(batchOf({ [100 + others]: null }, { first: 100 + others++ }));
      await advance(1_000, 100);
    }
    assert.ok(waits.outcomes);
    assert.equal(requests.filter(({ key }) => key.includes(":0-")).length, 8);
    const next = deliver(batchOf({ 1: 2032 }, { first: 20 }));
    for (let seconds = 0; seconds < 120 && next.outcomes === undefined; seconds++) {
      deliver(batchOf({ [100 + others]: null }, { first: 100 + others++ }));
      await advance(1_000, 100);
    }
    assert.ok(next.outcomes, "it is held back for one more attempt at most");
    assert.equal(poison.outcomes, undefined);
    assert.equal(lane.state().closure, null);
  });

  test("outlasts throttling: a 429 is about the rate, however often it meets the same batch", async (t) => {
    let throttled = 0;
    const respond = (received: Received): Reply =>
      received.key.includes(":0-") && throttled++ < 20 ? { status: 429 } : takeAll(received);
    const { deliver, advance, requests } = createFixture(t, { respond });
    const first = deliver(batchOf({ 1: 2030 }, { first: 0 }));
    const second = deliver(batchOf({ 1: 2031 }, { first: 10 }));
    for (let others = 0; second.outcomes === undefined && others < 2_000; others++) {
      // Without these, the lane would close.
      deliver(batchOf({ [100 + others]: null }, { first: 100 + others }));
      await advance(1_000, 100);
    }
    assert.ok(first.outcomes && second.outcomes);
    assert.ok(throttled > 20);
    const keys = requests.map(({ key }) => key.split(":")[2]);
    assert.ok(keys.lastIndexOf("0-0") < keys.indexOf("10-10"), "in the order of their partition");
  });
});
