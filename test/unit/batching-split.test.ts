import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  cutToSize,
  decodeSplit,
  encodeSplit,
  isSplitOf,
  middleOf,
  pendingPieces,
  replacePiece,
  type Split,
  splitByOutcome,
} from "../../src/batching/split.ts";

/** A split of a batch of so many entries. */
const splitOf = (count: number): fc.Arbitrary<Split> => {
  const leaf = fc.constantFrom<Split>("pending", "acknowledged");
  if (count < 2) return leaf;
  const middle = middleOf(count);
  return fc.oneof(
    { maxDepth: 6 },
    leaf,
    fc
      .boolean()
      .chain(
        (isDeep): fc.Arbitrary<Split> => (isDeep ? fc.tuple(splitOf(middle), splitOf(count - middle)) : leaf),
      ),
  );
};

const batches = fc
  .integer({ min: 1, max: 300 })
  .chain((count) => fc.tuple(fc.constant(count), splitOf(count)));

/** For each entry, whether it is acknowledged. */
const flagsOf = (split: Split, count: number): boolean[] => {
  const flags = new Array<boolean>(count).fill(true);
  for (const { from, to } of pendingPieces(split, count)) flags.fill(false, from, to);
  return flags;
};

describe("a split", () => {
  test("is written and read back, in a bit or two for each piece", () => {
    fc.assert(
      fc.property(batches, ([, split]) => {
        assert.deepEqual(decodeSplit(encodeSplit(split)), split);
      }),
    );
    assert.deepEqual([...encodeSplit("pending")], [0b0000_0000]);
    assert.deepEqual([...encodeSplit("acknowledged")], [0b1000_0000]);
    // Halves, acknowledged, halves, pending, acknowledged: 11 10 11 0 10.
    assert.deepEqual([...encodeSplit(["acknowledged", ["pending", "acknowledged"]])], [0b1110_1101, 0]);
  });

  test("that is damaged is refused", () => {
    assert.throws(() => decodeSplit(Uint8Array.of()), RangeError);
    assert.throws(() => decodeSplit(Uint8Array.of(0xff)), /ends too early/);
    assert.throws(() => decodeSplit(Uint8Array.of(0, 0)), /goes on after its end/);
    assert.throws(() => decodeSplit(new Uint8Array(100).fill(0xff)), /too deep/);
  });

  test("never has an empty half", () => {
    for (let count = 2; count <= 1_000; count++) {
      const middle = middleOf(count);
      assert.ok(middle > 0 && middle < count, `${count} is cut at ${middle}`);
    }
    assert.equal(isSplitOf(["pending", "pending"], 2), true);
    assert.equal(isSplitOf(["pending", "pending"], 1), false);
    assert.equal(isSplitOf(["pending", ["pending", "pending"]], 2), false);
    fc.assert(fc.property(batches, ([count, split]) => isSplitOf(split, count)));
  });

  test("has pieces in order, none of which overlaps another", () => {
    fc.assert(
      fc.property(batches, ([count, split]) => {
        let end = 0;
        for (const { from, to } of pendingPieces(split, count)) {
          assert.ok(from >= end && from < to && to <= count);
          end = to;
        }
      }),
    );
    assert.deepEqual(pendingPieces(["acknowledged", ["pending", "acknowledged"]], 8), [{ from: 4, to: 6 }]);
  });

  test("cut to a size has no larger piece, and as few as can be where whole hundreds are taken", () => {
    fc.assert(
      fc.property(batches, fc.integer({ min: 1, max: 120 }), ([count, split], most) => {
        const cut = cutToSize(split, count, most);
        assert.ok(pendingPieces(cut, count).every(({ from, to }) => to - from <= most));
        assert.deepEqual(flagsOf(cut, count), flagsOf(split, count));
      }),
    );
    for (let count = 1; count <= 1_000; count++) {
      assert.equal(pendingPieces(cutToSize("pending", count, 100), count).length, Math.ceil(count / 100));
    }
    assert.equal(cutToSize("pending", 1_000, Number.POSITIVE_INFINITY), "pending");
  });

  test("changes in the piece that is replaced and nowhere else", () => {
    fc.assert(
      fc.property(batches, fc.nat(), ([count, split], pick) => {
        const pieces = pendingPieces(split, count);
        const piece = pieces[pick % pieces.length];
        if (piece === undefined) return;
        const flags = flagsOf(split, count).fill(true, piece.from, piece.to);
        assert.deepEqual(flagsOf(replacePiece(split, count, piece, "acknowledged"), count), flags);
      }),
    );
    assert.throws(() => replacePiece("pending", 4, { from: 0, to: 2 }, "acknowledged"), RangeError);
  });

  test("whose pieces are all acknowledged is acknowledged whole", () => {
    fc.assert(
      fc.property(batches, ([count, split]) => {
        let now = split;
        for (const piece of pendingPieces(split, count))
          now = replacePiece(now, count, piece, "acknowledged");
        if (now !== split) assert.deepEqual(flagsOf(now, count), new Array(count).fill(true));
        if (split === "pending") assert.equal(now, "acknowledged");
      }),
    );
    assert.equal(
      replacePiece(["acknowledged", ["pending", "acknowledged"]], 4, { from: 2, to: 3 }, "acknowledged"),
      "acknowledged",
    );
  });

  test("by outcome has acknowledged exactly what was taken, in the largest uniform pieces", () => {
    const outcomes = fc.array(fc.constantFrom("taken", "refused", "retry"), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(outcomes, (all) => {
        const split = splitByOutcome(all, "taken");
        assert.deepEqual(
          flagsOf(split, all.length),
          all.map((outcome) => outcome === "taken"),
        );
        for (const { from, to } of pendingPieces(split, all.length)) {
          assert.equal(new Set(all.slice(from, to)).size, 1);
        }
      }),
    );
    assert.deepEqual(splitByOutcome(["taken", "taken", "retry", "taken"], "taken"), [
      "acknowledged",
      ["pending", "acknowledged"],
    ]);
  });
});

/** Requests it takes, at most, to find `bad` entries among `count`, whatever their places. */
function worstCase(count: number, bad: number, known = new Map<string, number>()): number {
  if (bad === 0 || count === 1) return 1;
  const key = `${count} ${bad}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const middle = middleOf(count);
  let worst = 0;
  for (let first = Math.max(0, bad - (count - middle)); first <= Math.min(bad, middle); first++) {
    worst = Math.max(worst, worstCase(middle, first, known) + worstCase(count - middle, bad - first, known));
  }
  known.set(key, worst + 1);
  return worst + 1;
}

test("one bad entry among a thousand is found in 25 requests at most, five in 100, wherever they are", () => {
  assert.equal(worstCase(1_000, 1), 23);
  assert.equal(worstCase(1_000, 5), 89);
});
