/**
 * How far one environment is with a batch that it didn't take whole:
 * - `pending`: to be sent as one request, whatever came of it so far;
 * - `acknowledged`: every entry taken;
 * - two halves, cut at `middleOf`: not to be sent as one again, since pieces of it may have been taken under their own keys.
 *
 * A tree of ranges, not of entries: how many those are, the batch knows. Pure.
 */
export type Split = "pending" | "acknowledged" | readonly [Split, Split];

/** A range of a batch's entries, `to` exclusive. */
export interface EntryRange {
  from: number;
  to: number;
}

/** Ranges are cut at whole hundreds as long as they can be, for that is what some APIs take at once. */
const STEP = 100;

/** How many of so many entries the first half of a split gets; the same for ever, since ledgers and keys depend on it. */
export function middleOf(count: number): number {
  const half = Math.ceil(count / 2);
  return count > STEP ? Math.ceil(half / STEP) * STEP : half;
}

const isHalves = (split: Split): split is readonly [Split, Split] => typeof split !== "string";

/** Two halves; what is acknowledged in both is acknowledged whole. */
const halvesOf = (first: Split, second: Split): Split =>
  first === "acknowledged" && second === "acknowledged" ? "acknowledged" : [first, second];

/** The split with `by` in place of the piece at `range`, which must be one of its pieces. */
export function replacePiece(split: Split, count: number, range: EntryRange, by: Split): Split {
  if (range.from === 0 && range.to === count) return by;
  if (!isHalves(split)) throw new RangeError(`${range.from}-${range.to} is no piece of this split`);
  const middle = middleOf(count);
  const [first, second] = split;
  if (range.to <= middle) return halvesOf(replacePiece(first, middle, range, by), second);
  const rest = { from: range.from - middle, to: range.to - middle };
  return halvesOf(first, replacePiece(second, count - middle, rest, by));
}

/** What is still to be sent, piece by piece, in order. */
export function pendingPieces(split: Split, count: number, from = 0): EntryRange[] {
  if (split === "acknowledged") return [];
  if (split === "pending") return [{ from, to: from + count }];
  const middle = middleOf(count);
  return [
    ...pendingPieces(split[0], middle, from),
    ...pendingPieces(split[1], count - middle, from + middle),
  ];
}

/** The split with every pending piece cut until none holds more than `most` entries, at least 1. */
export function cutToSize(split: Split, count: number, most: number): Split {
  if (split === "acknowledged" || (split === "pending" && count <= most)) return split;
  const [first, second]: readonly [Split, Split] = split === "pending" ? ["pending", "pending"] : split;
  const middle = middleOf(count);
  return [cutToSize(first, middle, most), cutToSize(second, count - middle, most)];
}

/**
 * The split whose pieces are the largest in which all entries have the same outcome: acknowledged where it is `taken`, else
 * pending.
 */
export function splitByOutcome<T>(outcomes: readonly T[], taken: T): Split {
  const [first] = outcomes;
  if (outcomes.every((outcome) => outcome === first)) return first === taken ? "acknowledged" : "pending";
  const middle = middleOf(outcomes.length);
  return [splitByOutcome(outcomes.slice(0, middle), taken), splitByOutcome(outcomes.slice(middle), taken)];
}

/** Whether a batch of so many entries can be split like this: no half is empty. */
export function isSplitOf(split: Split, count: number): boolean {
  if (!isHalves(split)) return count > 0;
  const middle = middleOf(count);
  return isSplitOf(split[0], middle) && isSplitOf(split[1], count - middle);
}

/** Bits in pre-order, most significant first: pending 0, acknowledged 10, halves 11. The last byte is filled up with zeros. */
export function encodeSplit(split: Split): Uint8Array {
  const bits: (0 | 1)[] = [];
  const push = (node: Split): void => {
    if (node === "pending") bits.push(0);
    else if (node === "acknowledged") bits.push(1, 0);
    else {
      bits.push(1, 1);
      node.forEach(push);
    }
  };
  push(split);
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  bits.forEach((bit, index) => {
    bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (bit << (7 - (index & 7)));
  });
  return bytes;
}

/** Deeper than any batch's: the largest has 1,000 entries. */
const MAX_DEPTH = 16;

/** Reads what `encodeSplit` wrote. Throws RangeError for anything else. */
export function decodeSplit(bytes: Uint8Array): Split {
  let at = 0;
  const bit = (): number => {
    const byte = bytes[at >> 3];
    if (byte === undefined) throw new RangeError("a split ends too early");
    return (byte >> (7 - (at++ & 7))) & 1;
  };
  const read = (depth: number): Split => {
    if (depth > MAX_DEPTH) throw new RangeError("a split is too deep");
    if (bit() === 0) return "pending";
    return bit() === 0 ? "acknowledged" : [read(depth + 1), read(depth + 1)];
  };
  const split = read(0);
  if (Math.ceil(at / 8) !== bytes.length) throw new RangeError("a split goes on after its end");
  return split;
}
