import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pendingBytesOfEach } from "../../src/relay/room.ts";
import { optOut, phoneOf, settled, start, taken } from "./relay-partition-fixture.ts";

describe("room", () => {
  const big = Buffer.alloc(1024 * 1024);
  const offerBig = ({ partition }: ReturnType<typeof start>, offset: number): boolean =>
    partition.offer(
      { offset, timestamp: 0, key: null, value: big, headers: {} },
      optOut({ phone: phoneOf(offset) }),
    );

  test("reading pauses at maxPendingEntries, and goes on below four fifths of it", async (t) => {
    const harness = start(t, { limits: { maxPendingEntries: 12 } });
    harness.offerAll(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    assert.deepEqual(harness.pauses, [true]);
    assert.equal(harness.offer(12), false);
    assert.equal(harness.partition.position, 12, "what wasn't taken will be offered again");
    assert.equal(harness.partition.pendingEvents, 12);
    harness.commit();
    await harness.answer("3-5");
    assert.equal(harness.partition.pendingEvents, 9);
    assert.deepEqual(harness.pauses, [true, false], "the room is free, wherever the committed offset stands");
    harness.offerAll(12, 13, 14);
    await harness.answer("9-11");
    assert.equal(harness.partition.pendingEvents, 9);
    assert.deepEqual(harness.pauses, [true, false, true, false]);
  });

  test("reading stays paused between the bound and four fifths of it", async (t) => {
    const harness = start(t, { limits: { maxEntries: 1, maxPendingEntries: 10 } });
    harness.offerAll(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    harness.commit();
    await harness.answer("0-0");
    await harness.answer("1-1");
    assert.equal(harness.partition.pendingEvents, 8);
    assert.equal(harness.partition.paused, true);
    await harness.answer("2-2");
    assert.equal(harness.partition.paused, false);
  });

  test("reading pauses when the raw records held reach their room, here 32 MiB, and goes on when they are settled", async (t) => {
    const harness = start(t, { limits: { maxEntries: 8 } });
    for (let offset = 0; offset < 32; offset++) {
      assert.equal(harness.partition.paused, false);
      assert.ok(offerBig(harness, offset));
    }
    assert.deepEqual(harness.pauses, [true]);
    assert.equal(offerBig(harness, 32), false);
    harness.commit();
    await harness.answer("8-15");
    assert.deepEqual(harness.pauses, [true, false]);
    assert.ok(offerBig(harness, 32));
  });

  test("of all partitions together is 128 MiB of records, of which each gets the same part", () => {
    assert.equal(pendingBytesOfEach(0), 128 * 1024 * 1024);
    for (const owned of [1, 2, 5, 100, 10_000]) {
      assert.equal(pendingBytesOfEach(owned) * owned, 128 * 1024 * 1024);
    }
  });

  test("however little it is, one event is always taken", async (t) => {
    const harness = start(t, { limits: { maxPendingBytes: 1 } });
    assert.ok(offerBig(harness, 0));
    assert.equal(offerBig(harness, 1), false);
    assert.deepEqual(harness.seals, ["0-0 events"]);
    harness.commit();
    await harness.answer("0-0");
    assert.ok(offerBig(harness, 1));
  });

  test("an open batch doesn't keep a full partition paused: it is sealed at once", async (t) => {
    const harness = start(t, { limits: { maxEntries: 50, maxPendingEntries: 5 } });
    harness.offerAll(0, 1, 2, 3, 4);
    assert.equal(harness.partition.paused, true);
    assert.deepEqual(harness.seals, ["0-4 events"]);
    harness.commit();
    await harness.answer("0-4");
    assert.equal(harness.partition.paused, false);
    harness.offerAll(5);
  });

  test("an event that opens a batch of its own behind a full body is taken once there is room", async (t) => {
    const harness = start(t, { limits: { maxBytes: 100, maxPendingEntries: 2 } });
    harness.offerAll(0, 1);
    assert.equal(harness.partition.paused, true);
    harness.commit();
    await harness.answer("0-0");
    assert.equal(harness.partition.paused, false);
    harness.offerAll(2);
    assert.deepEqual(harness.seals, ["0-0 bytes", "1-1 events", "2-2 events"]);
  });
});

describe("a full ledger", () => {
  /** Far apart, so that few batches fill it. */
  const SPACING = 2 ** 40;
  const fill = (harness: ReturnType<typeof start>): number => {
    let count = 0;
    while (harness.offer(count * SPACING)) count++;
    return count;
  };
  /** Every environment takes the first batches, up to the one of this number. */
  const answerFirst = async ({ deliveries }: ReturnType<typeof start>, batches: number): Promise<void> => {
    for (const { sealed, done } of deliveries) {
      if (sealed.first < batches * SPACING && !sealed.settled) done(taken(sealed));
    }
    await settled();
  };

  test("seals nothing and pauses; a settled batch makes room, and reading goes on", async (t) => {
    const harness = start(t, { limits: { maxEntries: 1 } });
    const count = fill(harness);
    assert.ok(count > 100, `${count} batches fit`);
    assert.equal(harness.partition.paused, true);
    assert.ok(harness.partition.ledgerUsedRatio <= 1);
    assert.equal(harness.commit()?.ledger.length, harness.seals.length);
    const sealed = harness.seals.length;
    await answerFirst(harness, 1);
    assert.equal(
      harness.seals.length,
      sealed,
      "the first, with no gap before it, took less room than the next needs",
    );
    await answerFirst(harness, 2);
    assert.equal(harness.partition.paused, false);
    assert.equal(harness.seals.length, sealed + 1, "the batch that was due is sealed at last");
    await answerFirst(harness, 3);
    assert.ok(harness.offer(count * SPACING));
  });

  test("never outgrows the broker's bound, whoever acknowledges what", async (t) => {
    const harness = start(t, { limits: { maxEntries: 1 } });
    fill(harness);
    harness.commit();
    for (const [index, { sealed, done }] of harness.deliveries.entries()) {
      if (sealed.first > 0 && (index * 7) % 11 < 5) done(taken(sealed));
    }
    await settled();
    const committed = harness.commit();
    assert.equal(committed?.offset, 0);
    assert.ok((committed?.metadata.length ?? Infinity) <= 4_096, `${committed?.metadata.length} characters`);
  });

  test("a batch whose time comes waits with reading paused, and is sealed when a batch is settled", async (t) => {
    const harness = start(t, { limits: { maxEntries: 2 } });
    for (let offset = 0; !harness.partition.paused; offset += SPACING) {
      harness.offerAll(offset);
      harness.pass(1_001);
    }
    const sealed = harness.seals.length;
    harness.pass(60_000);
    assert.equal(harness.seals.length, sealed);
    harness.commit();
    await answerFirst(harness, 2);
    assert.equal(harness.seals.length, sealed + 1);
    assert.match(harness.seals.at(-1) ?? "", / time$/);
    assert.equal(harness.partition.paused, false);
  });

  test("an event too large for the open batch waits until that can be sealed", async (t) => {
    const harness = start(t, { limits: { maxEntries: 50, maxBytes: 100, maxWait: 3_600_000 } });
    const count = fill(harness);
    assert.equal(harness.partition.paused, true);
    assert.equal(harness.offer(count * SPACING), false);
    harness.commit();
    await answerFirst(harness, 2);
    assert.equal(harness.partition.paused, false);
    assert.ok(harness.offer(count * SPACING));
    assert.match(harness.seals.at(-1) ?? "", / bytes$/);
  });
});
