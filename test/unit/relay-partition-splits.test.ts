import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Split } from "../../src/batching/split.ts";
import { type Harness, optOut, part, phoneOf, settled, start } from "./relay-partition-fixture.ts";

const US_WEST = 1;
const HALVES: Split = ["pending", "pending"];

/** A partition whose first batch, of four entries, was handed to every lane; answers what us-west's got. */
function delivered(t: TestContext, metadata = ""): Harness & { usWest: Harness["deliveries"][number] } {
  const harness = start(t, { limits: { maxEntries: 4 }, metadata });
  harness.offerAll(0, 1, 2, 3);
  if (metadata === "") harness.commit();
  const usWest = harness.deliveries.find(({ environment }) => environment === US_WEST);
  assert.ok(usWest);
  return { ...harness, usWest };
}

describe("a batch that an environment has in pieces", () => {
  test("isn't sent on before the ledger has the split", (t) => {
    const { usWest, commit, requests } = delivered(t);
    requests();
    let recorded = 0;
    usWest.onSplit(HALVES, () => recorded++);
    assert.deepEqual(requests(), [true], "a lane waits for that commit");
    assert.equal(recorded, 0);
    const committed = commit();
    assert.equal(recorded, 1);
    assert.deepEqual(committed?.ledger[0]?.splits, [undefined, HALVES, undefined]);
    usWest.onSplit(["acknowledged", "pending"]);
    assert.deepEqual(requests(), [false], "nobody waits for what was taken to be recorded");
    assert.deepEqual(commit()?.ledger[0]?.splits, [undefined, ["acknowledged", "pending"], undefined]);
    assert.equal(recorded, 1);
  });

  test("waits for the next commit if one fails", (t) => {
    const { usWest, commit, failCommit } = delivered(t);
    const order: string[] = [];
    usWest.onSplit(HALVES, () => order.push("first"));
    failCommit();
    usWest.onSplit([HALVES, "pending"], () => order.push("second"));
    assert.deepEqual(order, []);
    commit();
    assert.deepEqual(order, ["first", "second"]);
    assert.equal(commit(), undefined, "nothing is left to be committed");
  });

  test("waits for a later commit if it was split while one was under way", (t) => {
    const { usWest, partition, commit } = delivered(t);
    let recorded = 0;
    usWest.onSplit(["acknowledged", "pending"]);
    const underWay = partition.snapshot();
    usWest.onSplit(["acknowledged", HALVES], () => recorded++);
    underWay?.onCommitted();
    assert.equal(recorded, 0);
    commit();
    assert.equal(recorded, 1);
  });

  test("is forgotten with its partition's epoch", (t) => {
    const { usWest, partition } = delivered(t);
    let recorded = 0;
    usWest.onSplit(HALVES, () => recorded++);
    const underWay = partition.snapshot();
    partition.dispose();
    usWest.onSplit(HALVES, () => recorded++);
    underWay?.onCommitted();
    assert.equal(recorded, 0);
  });

  test("goes on after a crash where the environment was, and nowhere else", async (t) => {
    const before = delivered(t);
    const split: Split = ["acknowledged", ["pending", "acknowledged"]];
    before.usWest.onSplit(split);
    const metadata = before.commit()?.metadata;
    const after = delivered(t, metadata);
    assert.deepEqual(
      after.deliveries.map(({ sealed }) => sealed.splits),
      [0, 1, 2].map(() => [undefined, split, undefined]),
    );
    await after.answer("0-3", "production");
    await after.answer("0-3", "eu-central");
    // The rest of the batch, as a lane tells it.
    await after.answer("0-3", "us-west", () => [part(2, 3, false)]);
    assert.deepEqual(after.published(), ["0-3"]);
    assert.deepEqual(after.commit(), { offset: 4, metadata: "", ledger: [] });
  });

  test("starts anew if its records are read otherwise after the crash", (t) => {
    const before = delivered(t);
    before.usWest.onSplit(["acknowledged", "pending"]);
    const metadata = before.commit()?.metadata ?? "";
    const after = start(t, { metadata, limits: { maxEntries: 4 } });
    after.offer(0, optOut({ phone: phoneOf(77) }));
    after.offerAll(1, 2, 3);
    assert.deepEqual(after.partition.sealed[0]?.splits, [undefined, undefined, undefined]);
    assert.equal(after.commit()?.ledger[0]?.splits, undefined);
  });

  test("is in the ledger no more once it is acknowledged there", async (t) => {
    const { usWest, commit, partition } = delivered(t);
    usWest.onSplit(["acknowledged", "pending"]);
    usWest.onSplit("acknowledged");
    usWest.done([part(0, 2), part(2, 4)]);
    await settled();
    const [batch] = commit()?.ledger ?? [];
    assert.deepEqual(batch?.acknowledged, [false, true, false]);
    assert.equal(batch?.splits, undefined);
    assert.equal(partition.sealed.length, 1);
  });
});
