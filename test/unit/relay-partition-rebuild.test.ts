import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeLedger } from "../../src/batching/ledger.ts";
import {
  digestOf,
  ENVIRONMENTS,
  metadataOf,
  optOut,
  phoneOf,
  rejected,
  settled,
  start,
} from "./relay-partition-fixture.ts";

const everywhere = (range: string): string[] => ENVIRONMENTS.map((name) => `${name} ${range}`);

describe("a partition rebuilt from a ledger", () => {
  test("cuts the same ranges again, under the same keys, and delivers them at once", (t) => {
    const before = start(t);
    before.offerAll(0, 1, 2, 3, 4);
    before.pass(1_001);
    before.offerAll(5);
    const committed = before.commit();
    assert.ok(committed);

    // Other limits and no pauses: left to itself it would cut otherwise.
    const after = start(t, { metadata: committed.metadata, limits: { maxEntries: 50 } });
    after.offerAll(0, 1, 2, 3, 4, 5);
    assert.deepEqual(after.seals, ["0-2 ledger", "3-4 ledger"]);
    assert.deepEqual(after.delivered(), [...everywhere("0-2"), ...everywhere("3-4")]);
    const keys = ({ deliveries }: typeof after) => deliveries.map(({ sealed }) => sealed.batch.key);
    assert.deepEqual(keys(after), keys(before));
    assert.equal(after.partition.openEntries(0), 1, "offset 5 was in no batch");
  });

  test("doesn't ask environments that have acknowledged", async (t) => {
    const metadata = metadataOf(0, [
      { range: [0, 2], acknowledgedBy: ["production", "eu-central"] },
      { range: [3, 5], acknowledgedBy: ["us-west"] },
    ]);
    const harness = start(t, { metadata });
    harness.offerAll(0, 1, 2, 3, 4, 5);
    assert.deepEqual(harness.delivered(), ["us-west 0-2", "production 3-5", "eu-central 3-5"]);
    await harness.answer("0-2");
    assert.deepEqual(
      harness.publications[0]?.sealed.outcomes.map((each) => typeof each),
      ["string", "object", "string"],
    );
    assert.equal(harness.commit()?.offset, 3);
  });

  test("sends nothing before an earlier range whose body has changed, and so is committed anew first", (t) => {
    const metadata = metadataOf(0, [{ range: [0, 2] }, { range: [3, 5] }]);
    const harness = start(t, { metadata });
    harness.offer(0, optOut({ phone: phoneOf(3) }));
    harness.offerAll(1, 2, 3, 4, 5);
    assert.deepEqual(harness.delivered(), []);
    harness.commit();
    assert.deepEqual(harness.delivered(), [...everywhere("0-2"), ...everywhere("3-5")]);
  });

  test("publishes what every environment had acknowledged, and not again what was settled", async (t) => {
    const metadata = metadataOf(0, [
      { range: [0, 2], acknowledgedBy: ENVIRONMENTS },
      { range: [3, 5], settled: true },
      { range: [6, 8] },
    ]);
    const harness = start(t, { metadata });
    harness.offerAll(0, 1, 2, 3, 4, 5, 6, 7, 8);
    await settled();
    assert.deepEqual(harness.published(), ["0-2"]);
    assert.deepEqual(harness.delivered(), everywhere("6-8"));
    assert.equal(harness.commit()?.offset, 6);
    assert.equal(harness.partition.pendingEvents, 3);
  });

  test("asks an environment that was added for batches that are pending, not for those that are settled", async (t) => {
    const before = ["production", "us-west"];
    const metadata = metadataOf(
      0,
      [
        { range: [0, 2], settled: true },
        { range: [3, 5], acknowledgedBy: ["us-west"] },
      ],
      before,
    );
    const harness = start(t, { metadata });
    harness.offerAll(0, 1, 2, 3, 4, 5);
    await settled();
    assert.deepEqual(harness.published(), []);
    assert.deepEqual(harness.delivered(), ["production 3-5", "eu-central 3-5"]);
    assert.equal(harness.commit()?.offset, 3);
  });

  test("forgets an environment that was removed", async (t) => {
    const metadata = metadataOf(0, [{ range: [0, 2], acknowledgedBy: ["production", "eu-central"] }]);
    const harness = start(t, { metadata, environments: ["production", "eu-central"] });
    harness.offerAll(0, 1, 2);
    await settled();
    assert.deepEqual(harness.delivered(), []);
    assert.deepEqual(harness.published(), ["0-2"]);
    assert.equal(harness.commit()?.offset, 3);
  });

  test("keeps ranges not read again yet in what it commits, with what is known of them", async (t) => {
    const metadata = metadataOf(0, [
      { range: [0, 2], acknowledgedBy: ["us-west"] },
      { range: [3, 5], acknowledgedBy: ["production", "eu-central"] },
      { range: [6, 8], settled: true },
    ]);
    const harness = start(t, { metadata });
    harness.offerAll(0, 1, 2, 3);
    await harness.answer("0-2");
    assert.deepEqual(harness.commit(), {
      offset: 3,
      metadata: metadataOf(3, [
        { range: [3, 5], acknowledgedBy: ["production", "eu-central"] },
        { range: [6, 8], settled: true },
      ]),
      ledger: [
        { first: 3, last: 5, digest: digestOf([3, 5]), settled: false, acknowledged: [true, false, true] },
        { first: 6, last: 8, digest: digestOf([6, 8]), settled: true, acknowledged: [true, true, true] },
      ],
    });
  });

  test("doesn't commit past a range that it hasn't read again", async (t) => {
    const metadata = metadataOf(0, [{ range: [4, 6], acknowledgedBy: ["us-west"] }]);
    const harness = start(t, { metadata });
    harness.partition.advance(3);
    harness.partition.advance(5);
    harness.partition.recommit();
    assert.equal(harness.commit()?.offset, 0);
    harness.offerAll(5, 6);
    harness.commit();
    await harness.answer("5-6");
    assert.equal(harness.commit()?.offset, 7);
  });

  test("a range without a valid event settles without a request, and one that was settled without a status", async (t) => {
    const metadata = metadataOf(0, [
      { range: [0, 1], decodedAt: () => rejected },
      { range: [2, 3], settled: true, decodedAt: () => rejected },
    ]);
    const harness = start(t, { metadata });
    for (let offset = 0; offset < 4; offset++) harness.offer(offset, rejected);
    await settled();
    assert.deepEqual(harness.delivered(), []);
    assert.deepEqual(harness.published(), ["0-1"]);
    assert.deepEqual(harness.commit(), { offset: 4, metadata: "", ledger: [] });
  });

  test("pauses at the end of a range when there is no room, never within one, and goes on when there is", async (t) => {
    const metadata = metadataOf(0, [{ range: [0, 4] }, { range: [5, 9] }, { range: [10, 12] }]);
    const harness = start(t, { metadata, limits: { maxPendingEntries: 6 } });
    harness.offerAll(0, 1, 2, 3, 4, 5, 6, 7);
    assert.deepEqual(harness.pauses, [], "full, but within a range");
    harness.offerAll(8, 9);
    assert.equal(harness.offer(10), false);
    assert.deepEqual(harness.pauses, [true]);
    assert.deepEqual(
      harness.partition.snapshot(),
      undefined,
      "the range that waits is in the ledger as it was committed",
    );
    await harness.answer("0-4");
    assert.equal(harness.partition.pendingEvents, 5);
    assert.deepEqual(
      harness.commit()?.ledger.map(({ first, last }) => [first, last]),
      [
        [5, 9],
        [10, 12],
      ],
    );
    assert.equal(harness.partition.paused, true, "5 of 6 is above four fifths");
    await harness.answer("5-9");
    assert.equal(harness.partition.paused, false);
    harness.offerAll(10, 11, 12);
    await harness.answer("10-12");
    assert.deepEqual(harness.commit(), { offset: 13, metadata: "", ledger: [] });
  });

  test("doesn't stop within a range when another is settled meanwhile", async (t) => {
    const metadata = metadataOf(0, [{ range: [0, 1] }, { range: [2, 9] }]);
    const harness = start(t, { metadata, limits: { maxPendingEntries: 4 } });
    harness.offerAll(0, 1, 2, 3, 4, 5, 6, 7);
    await harness.answer("0-1");
    assert.deepEqual(harness.pauses, []);
    harness.offerAll(8, 9);
    await harness.answer("2-9");
    assert.equal(harness.commit()?.offset, 10);
  });
});

describe("records that the ledger doesn't cover", () => {
  const metadata = metadataOf(0, [{ range: [2, 4] }, { range: [8, 9] }]);

  test("before and between its ranges are cut by themselves, in their place, and sent only once committed, with what follows them", async (t) => {
    const harness = start(t, { metadata });
    harness.offerAll(0, 1, 2, 3, 4, 6, 8, 9, 10);
    assert.deepEqual(harness.seals, ["0-1 ledger", "2-4 ledger", "6-6 ledger", "8-9 ledger"]);
    assert.deepEqual(harness.delivered(), []);
    const committed = harness.commit();
    assert.deepEqual(
      committed?.ledger.map(({ first, last }) => [first, last]),
      [
        [0, 1],
        [2, 4],
        [6, 6],
        [8, 9],
      ],
    );
    assert.deepEqual(harness.delivered(), ["0-1", "2-4", "6-6", "8-9"].flatMap(everywhere));
    await harness.answer("2-4");
    assert.equal(harness.commit()?.offset, 0);
    await harness.answer("0-1");
    assert.equal(harness.commit()?.offset, 5);
  });

  test("are sealed by their time when the next range is long in coming", (t) => {
    const harness = start(t, { metadata });
    harness.offerAll(0);
    harness.pass(1_001);
    assert.deepEqual(harness.seals, ["0-0 time"]);
    harness.offerAll(1, 2, 3, 4);
    assert.deepEqual(harness.seals, ["0-0 time", "1-1 ledger", "2-4 ledger"]);
    assert.ok(harness.commit());
  });
});

describe("ranges whose records are gone", () => {
  test("vanish when reading has passed them, and the committed offset with them", async (t) => {
    const harness = start(t, { metadata: metadataOf(0, [{ range: [0, 2] }, { range: [3, 5] }]) });
    harness.offerAll(7);
    assert.deepEqual(harness.seals, []);
    harness.pass(1_001);
    assert.deepEqual(
      harness.commit()?.ledger.map(({ first, last }) => [first, last]),
      [[7, 7]],
    );
    await harness.answer("7-7");
    assert.equal(harness.commit()?.offset, 8);
  });

  test("vanish also at the end of the topic, where no record follows", (t) => {
    const harness = start(t, { metadata: metadataOf(0, [{ range: [0, 2] }]) });
    harness.partition.advance(2);
    assert.equal(harness.commit(), undefined);
    harness.partition.advance(3);
    assert.deepEqual(harness.commit(), { offset: 3, metadata: "", ledger: [] });
  });

  test("vanish from the middle without a hole in the order", async (t) => {
    const harness = start(t, {
      metadata: metadataOf(0, [{ range: [0, 2] }, { range: [3, 5] }, { range: [6, 8] }]),
    });
    harness.offerAll(0, 1, 2, 6, 7, 8);
    assert.deepEqual(harness.seals, ["0-2 ledger", "6-8 ledger"]);
    await harness.answer("6-8");
    await harness.answer("0-2");
    assert.equal(harness.commit()?.offset, 9);
  });

  for (const [what, offsets, range] of [
    ["the first", [1, 2], "1-2"],
    ["the last", [0, 1], "0-1"],
  ] as const) {
    test(`a range that lost ${what} of its records has another body: it is committed anew, then sent to all`, async (t) => {
      const metadata = metadataOf(0, [{ range: [0, 2], acknowledgedBy: ["us-west"] }]);
      const harness = start(t, { metadata });
      harness.offerAll(...offsets, 3);
      assert.deepEqual(harness.seals, [`${range} ledger`]);
      assert.deepEqual(harness.delivered(), []);
      assert.ok(harness.requests().includes(true), "a commit is urgent");
      const committed = harness.commit();
      assert.equal(committed?.metadata, encodeLedger(0, committed?.ledger ?? [], ENVIRONMENTS));
      assert.deepEqual(
        committed?.ledger.map(({ first, last, acknowledged }) => ({
          range: `${first}-${last}`,
          acknowledged,
        })),
        [{ range, acknowledged: [false, false, false] }],
      );
      assert.deepEqual(harness.delivered(), everywhere(range));
      await harness.answer(range);
      assert.equal(harness.commit()?.offset, Number(offsets[1]) + 1);
    });
  }

  test("a range that lost a record from its middle has another body, and is committed anew too", (t) => {
    const harness = start(t, { metadata: metadataOf(0, [{ range: [0, 2], acknowledgedBy: ["us-west"] }]) });
    harness.offerAll(0, 2);
    assert.deepEqual(harness.delivered(), []);
    harness.commit();
    assert.deepEqual(harness.delivered(), everywhere("0-2"));
  });

  test("a settled range that was narrowed is not published again", async (t) => {
    const harness = start(t, { metadata: metadataOf(0, [{ range: [0, 2], settled: true }]) });
    harness.offerAll(1, 2);
    harness.commit();
    await settled();
    assert.deepEqual(harness.delivered(), []);
    assert.deepEqual(harness.published(), []);
    assert.equal(harness.commit()?.offset, 3);
  });
});
