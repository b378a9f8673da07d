import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  decodeLedger,
  encodeLedger,
  type LedgerBatch,
  ledgerUsedRatio,
  MAX_LEDGER_CHARS,
} from "../../src/batching/ledger.ts";
import { cutToSize, type Split } from "../../src/batching/split.ts";
import { uniform } from "./ledger-arbitraries.ts";

const THREE = ["production", "us-west", "eu-central"];
const HALF: Split = ["acknowledged", "pending"];
const DEEP: Split = [
  ["pending", "acknowledged"],
  [["acknowledged", "pending"], "pending"],
];

const batches = (count: number, more: (index: number) => Partial<LedgerBatch> = () => ({})): LedgerBatch[] =>
  uniform(count, THREE).batches.map((batch, index) => ({ ...batch, ...more(index) }));

const BASE = uniform(1, THREE).base;

function roundTrip(written: LedgerBatch[], environments = THREE, readBy = environments): LedgerBatch[] {
  const metadata = encodeLedger(BASE, written, environments);
  assert.ok(metadata.length <= MAX_LEDGER_CHARS, `${metadata.length} characters`);
  const decoded = decodeLedger(BASE, metadata, readBy);
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.batches;
}

const splitsOf = (all: LedgerBatch[]) => all.map(({ splits }) => splits);

describe("ledger: splits", () => {
  test("are read as they were written, each at its batch and environment", () => {
    const written = batches(5, (index) => {
      if (index === 1) return { splits: [undefined, HALF, DEEP] };
      return index === 4 ? { splits: [undefined, DEEP, undefined] } : {};
    });
    assert.deepEqual(roundTrip(written), written);
  });

  test("cost nothing where there are none", () => {
    const without = encodeLedger(BASE, batches(3), THREE);
    const undone = batches(3, () => ({ splits: [undefined, undefined, "pending"] }));
    assert.equal(encodeLedger(BASE, undone, THREE), without);
  });

  test("are forgotten once the batch is acknowledged there, or settled", () => {
    const written = batches(3, (index) => ({
      splits: [HALF, DEEP, undefined],
      acknowledged: [index === 0, false, false],
      settled: index === 2,
    }));
    assert.deepEqual(splitsOf(roundTrip(written)), [
      [undefined, DEEP, undefined],
      [HALF, DEEP, undefined],
      undefined,
    ]);
  });

  test("follow their environment when the configuration's order changes, and go with it", () => {
    const written = batches(2, () => ({ splits: [undefined, HALF, DEEP] }));
    const read = roundTrip(written, THREE, ["eu-central", "new", "us-west"]);
    assert.deepEqual(splitsOf(read), [
      [DEEP, undefined, HALF],
      [DEEP, undefined, HALF],
    ]);
    assert.deepEqual(splitsOf(roundTrip(written, THREE, ["production"])), [undefined, undefined]);
  });

  test("give way where there is no room: batches and acknowledgements stay, and the oldest splits", () => {
    const singles = cutToSize("pending", 1_000, 1);
    const written = batches(900, (index) => ({
      splits: [undefined, singles, undefined],
      acknowledged: [index % 2 === 0, false, true],
    }));
    const read = roundTrip(written);
    assert.equal(read.length, 900);
    assert.deepEqual(
      read.map(({ acknowledged }) => acknowledged),
      written.map(({ acknowledged }) => acknowledged),
    );
    const kept = splitsOf(read).filter((splits) => splits?.[1] !== undefined).length;
    assert.ok(kept < 900);
    assert.ok(
      splitsOf(read)
        .slice(0, kept)
        .every((splits) => splits?.[1] !== undefined),
    );
    const few = roundTrip(batches(8, () => ({ splits: [undefined, singles, undefined] })));
    assert.deepEqual(few[0]?.splits, [undefined, singles, undefined], "a thousand refused entries fit");
  });

  test("take room, so that nothing more is sealed while they need it", () => {
    const splits: (Split | undefined)[] = [undefined, cutToSize("pending", 1_000, 1), undefined];
    const plain = ledgerUsedRatio(BASE, batches(20), 3);
    const split = ledgerUsedRatio(
      BASE,
      batches(20, () => ({ splits })),
      3,
    );
    assert.ok(plain < 0.1 && split > 1, `${plain} and ${split}`);
    assert.ok(
      ledgerUsedRatio(
        BASE,
        batches(1, () => ({ splits })),
        3,
      ) < 0.2,
      "a thousand refused entries",
    );
  });
});
