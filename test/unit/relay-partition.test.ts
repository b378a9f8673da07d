import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { digestOf, ENVIRONMENTS, refused, rejected, settled, start } from "./relay-partition-fixture.ts";

const everywhere = (range: string): string[] => ENVIRONMENTS.map((name) => `${name} ${range}`);

describe("sealing", () => {
  test("the last entry that fits, the first byte too much and the end of the wait each seal a batch", (t) => {
    const byEntries = start(t);
    byEntries.offerAll(0, 1, 2, 3);
    assert.deepEqual(byEntries.seals, ["0-2 entries"]);

    // An entry takes 54 bytes; two of them don't fit.
    const byBytes = start(t, { limits: { maxBytes: 100 } });
    byBytes.offerAll(0, 1);
    assert.deepEqual(byBytes.seals, ["0-0 bytes"]);

    const byTime = start(t);
    byTime.offerAll(0, 1);
    byTime.pass(999);
    assert.deepEqual(byTime.seals, []);
    byTime.pass(2);
    assert.deepEqual(byTime.seals, ["0-1 time"]);
  });

  test("rejected and repeated events, which add no entry, seal a batch when there are four for each allowed entry", (t) => {
    const harness = start(t);
    for (let offset = 0; offset < 11; offset++) harness.offer(offset, rejected);
    assert.deepEqual(harness.seals, []);
    harness.offer(11, rejected);
    assert.deepEqual(harness.seals, ["0-11 events"]);
  });

  test("the wait is counted from the first event of each batch", (t) => {
    const harness = start(t);
    harness.offerAll(0);
    harness.pass(600);
    harness.offerAll(1, 2, 3);
    harness.pass(600);
    assert.deepEqual(harness.seals, ["0-2 entries"]);
    harness.pass(401);
    assert.deepEqual(harness.seals, ["0-2 entries", "3-3 time"]);
  });

  test("a timer that fires a little before the clock shows the deadline seals the batch soon after", (t) => {
    const harness = start(t);
    harness.offerAll(0);
    harness.passBusily(999.2);
    harness.fireTimers(1_001);
    assert.deepEqual(harness.seals, []);
    harness.pass(2);
    assert.deepEqual(harness.seals, ["0-0 time"]);
  });

  test("a deadline that passes before its timer fires seals the batch at the next event, and nothing stays paused", (t) => {
    const harness = start(t);
    harness.offerAll(0);
    harness.passBusily(5_000);
    harness.offerAll(1);
    assert.deepEqual(harness.seals, ["0-0 time"]);
    assert.equal(harness.partition.paused, false);
    harness.pass(1_001);
    assert.deepEqual(harness.seals, ["0-0 time", "1-1 time"]);
    assert.deepEqual(harness.pauses, []);
  });

  test("asks for an urgent commit, and a partition without change for none", (t) => {
    const harness = start(t);
    harness.offerAll(0, 1);
    assert.deepEqual(harness.requests(), []);
    assert.equal(harness.commit(), undefined);
    harness.offerAll(2);
    assert.deepEqual(harness.requests(), [true]);
    assert.ok(harness.commit());
    assert.equal(harness.commit(), undefined, "committed already");
  });

  test("when told to stop, the open batch is left to the next owner, and no event is taken", (t) => {
    const harness = start(t);
    harness.offerAll(0, 1);
    harness.partition.stopSealing();
    harness.pass(5_000);
    assert.equal(harness.offer(2), false);
    assert.deepEqual(harness.seals, []);
  });
});

describe("delivery", () => {
  test("nothing is delivered before the commit that carries the batch is confirmed", (t) => {
    const harness = start(t);
    harness.offerAll(0, 1, 2);
    const snapshot = harness.partition.snapshot();
    assert.ok(snapshot);
    harness.offerAll(3, 4, 5);
    assert.deepEqual(harness.delivered(), []);
    snapshot.onCommitted();
    assert.deepEqual(harness.delivered(), everywhere("0-2"), "the later one isn't in that commit");
    harness.commit();
    assert.deepEqual(harness.delivered(), [...everywhere("0-2"), ...everywhere("3-5")]);
  });

  test("a commit that failed delivers nothing and is asked for again, with the same ranges", (t) => {
    const harness = start(t);
    harness.offerAll(0, 1, 2);
    harness.requests();
    harness.failCommit();
    assert.deepEqual(harness.delivered(), []);
    assert.deepEqual(harness.requests(), [false]);
    const committed = harness.commit();
    assert.equal(committed?.offset, 0);
    assert.deepEqual(
      committed?.ledger.map(({ first, last }) => [first, last]),
      [[0, 2]],
    );
    assert.deepEqual(harness.delivered(), everywhere("0-2"));
  });

  test("a batch is delivered once, however many commits follow", async (t) => {
    const harness = start(t);
    harness.offerAll(0, 1, 2);
    harness.commit();
    await harness.answer("0-2", "production");
    harness.commit();
    harness.partition.recommit();
    harness.commit();
    assert.deepEqual(harness.delivered(), everywhere("0-2"));
  });

  test("a batch without a valid event is delivered to nobody, and settles", async (t) => {
    const harness = start(t);
    harness.offer(0, rejected);
    harness.offer(1, rejected);
    harness.pass(1_001);
    assert.equal(harness.commit()?.offset, 0, "it is in the ledger like any other");
    await settled();
    assert.deepEqual(harness.delivered(), []);
    assert.deepEqual(harness.published(), ["0-1"]);
    assert.equal(harness.commit()?.offset, 2);
  });

  test("an acknowledgement goes into the ledger with the next commit; a refused entry leaves its environment open", async (t) => {
    const harness = start(t);
    harness.offerAll(0, 1, 2);
    harness.commit();
    harness.requests();
    await harness.answer("0-2", "us-west");
    await harness.answer("0-2", "production", refused);
    assert.deepEqual(harness.requests(), [false, false]);
    assert.deepEqual(harness.commit()?.ledger, [
      { first: 0, last: 2, digest: digestOf([0, 2]), settled: false, acknowledged: [false, true, false] },
    ]);
  });

  test("is void once the partition is disposed: no seal, no commit, no answer counts", async (t) => {
    const harness = start(t);
    harness.offerAll(0, 1, 2);
    const snapshot = harness.partition.snapshot();
    harness.offerAll(3);
    harness.partition.dispose();
    harness.requests();
    snapshot?.onCommitted();
    assert.deepEqual(harness.delivered(), []);
    harness.pass(5_000);
    assert.deepEqual(harness.seals, ["0-2 entries"]);
    assert.equal(harness.offer(4), false);
    harness.partition.advance(100);
    harness.partition.recommit();
    assert.equal(harness.partition.snapshot(), undefined);
    assert.equal(harness.partition.base, 0);
    assert.deepEqual(harness.pauses, []);
  });

  test("an answer or a publication that comes after the end changes nothing", async (t) => {
    const harness = start(t, { publishes: false });
    harness.offerAll(0, 1, 2, 3, 4, 5);
    harness.commit();
    await harness.answer("0-2");
    assert.deepEqual(harness.published(), ["0-2"]);
    harness.partition.dispose();
    harness.requests();
    for (const { resolve } of harness.publications) resolve();
    await harness.answer("3-5");
    assert.deepEqual(harness.published(), ["0-2"]);
    assert.equal(harness.partition.base, 0);
    assert.deepEqual(harness.requests(), []);
  });
});

describe("the committed offset", () => {
  test("moves over settled batches in order only", async (t) => {
    const harness = start(t);
    harness.offerAll(0, 1, 2, 3, 4, 5, 6, 7, 8);
    harness.commit();
    await harness.answer("3-5");
    const committed = harness.commit();
    assert.equal(committed?.offset, 0);
    assert.deepEqual(
      committed?.ledger.map((batch) => batch.settled),
      [false, true, false],
    );
    await harness.answer("0-2", "production");
    await harness.answer("0-2", "us-west");
    assert.equal(harness.commit()?.offset, 0);
    await harness.answer("0-2", "eu-central");
    assert.equal(harness.commit()?.offset, 6);
    await harness.answer("6-8");
    assert.deepEqual(harness.commit(), { offset: 9, metadata: "", ledger: [] });
  });

  test("waits for the statuses to be published, not only for the answers", async (t) => {
    const harness = start(t, { publishes: false });
    harness.offerAll(0, 1, 2);
    harness.commit();
    await harness.answer("0-2");
    assert.equal(harness.commit()?.offset, 0);
    harness.publications[0]?.resolve();
    await settled();
    assert.equal(harness.commit()?.offset, 3);
  });

  test("stops before the open batch", async (t) => {
    const harness = start(t);
    harness.offerAll(0, 1, 2, 10);
    harness.commit();
    await harness.answer("0-2");
    assert.equal(harness.commit()?.offset, 3);
    harness.partition.advance(50);
    assert.equal(harness.commit(), undefined, "offset 10 isn't settled");
  });

  test("follows the position over offsets without a record when nothing is pending", async (t) => {
    const harness = start(t, { base: 5 });
    harness.partition.advance(9);
    assert.deepEqual(harness.requests(), [false]);
    assert.equal(harness.commit()?.offset, 9);
    harness.offerAll(9, 10, 11);
    harness.partition.advance(15);
    harness.commit();
    assert.equal(harness.partition.base, 9);
    await harness.answer("9-11");
    assert.equal(harness.commit()?.offset, 15);
    harness.partition.advance(15);
    harness.partition.advance(3);
    assert.equal(harness.commit(), undefined, "it never goes back");
    assert.equal(harness.partition.position, 15);
  });

  test("is committed again when asked to, without a change", (t) => {
    const harness = start(t, { base: 7 });
    assert.equal(harness.commit(), undefined);
    harness.partition.recommit();
    assert.deepEqual(harness.requests(), [false]);
    assert.equal(harness.commit()?.offset, 7);
  });
});

test("at shutdown a settled batch makes room, and yet reading doesn't go on", async (t) => {
  const harness = start(t, { limits: { maxEntries: 1, maxPendingEntries: 2 } });
  harness.offerAll(0, 1);
  harness.commit();
  assert.equal(harness.partition.paused, true);
  harness.partition.stopSealing();
  await harness.answer("0-0");
  await harness.answer("1-1");
  assert.equal(harness.partition.pendingEvents, 0);
  assert.deepEqual(harness.pauses, [true]);
  assert.equal(harness.offer(2), false);
});
