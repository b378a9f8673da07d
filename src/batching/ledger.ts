import { hash as digestOf } from "node:crypto";
import { digestAt, digestBytes, packDigests } from "./digests.ts";
import { decodeSplit, encodeSplit, type Split } from "./split.ts";
import { pushVarint, reader, varintLength } from "./varint.ts";

/**
 * The ledger: a partition's sealed, unsettled batches and who acknowledged them, kept in the `metadata` string of the
 * consumer group's offset commit.
 *
 * `optout1.` + base64url of: 4 bytes of checksum over the committed offset and the rest, then unsigned LEB128 numbers:
 *   batch count; per batch `(length - 1) * 2 + hasGap`, and the gap to the previous batch's end if there is one;
 *   12 bits of body digest per batch, two batches in three bytes;
 *   column count; per column 4 bytes of name hash, a cursor (leading batches set), a byte count, and a bitmap of the
 *   batches after the cursor;
 *   only if batches are split: per environment with such, 4 bytes of name hash and a count; per split the batch's distance
 *   from the one before, a byte count, and the bits of `encodeSplit`.
 * A column is an environment, or, under the empty name, "settled".
 */
const PREFIX = "optout1.";
/** The broker's default `offset.metadata.max.bytes`. */
export const MAX_LEDGER_CHARS = 4096;
const CHECKSUM_BYTES = 4;
const HASH_BYTES = 4;
const SETTLED_COLUMN = "";
/** Bytes that fit behind the prefix once base64url has turned 3 into 4. */
const capacityBytes = (maxChars: number): number => Math.floor(((maxChars - PREFIX.length) * 3) / 4);
/** Two varints of a column and the two counts, each at most 3 bytes here. */
const VARINT_BYTES = 3;

/** Of a batch whose records have expired in part: no body has it, so what is left goes to every environment again. */
export const UNKNOWN_DIGEST = -1;

export interface LedgerBatch {
  first: number;
  last: number;
  /**
   * 0 to 4095, of the body, or `UNKNOWN_DIGEST`. The acknowledgements are for these bytes: if the records of the range are read otherwise next time
   * (a schema was registered, a default region changed), the environments have acknowledged something else.
   */
  digest: number;
  settled: boolean;
  /** One flag for each environment, in the order of the names given. */
  acknowledged: boolean[];
  /** How far each environment is that has the batch in pieces, in the same order. */
  splits?: (Split | undefined)[];
}

/** What is left of a range whose first records have expired: no body is known of it, so only a settled one is acknowledged. */
export const restOf = ({ last, settled, acknowledged }: LedgerBatch, first: number): LedgerBatch => ({
  ...{ first, last, settled, digest: UNKNOWN_DIGEST },
  acknowledged: acknowledged.map(() => settled),
});

export type DecodedLedger = { ok: true; batches: LedgerBatch[] } | { ok: false; problem: string };

export const environmentHash = (name: string): string =>
  digestOf("sha256", name, "buffer").subarray(0, HASH_BYTES).toString("hex");

const SETTLED_HASH = environmentHash(SETTLED_COLUMN);

/**
 * Covers the offset too, for the spans count from it: a tool that copies a commit to another offset (MirrorMaker does, to
 * another cluster) must not move acknowledgements to events that nobody has sent.
 */
const checksum = (base: number, payload: Uint8Array): Buffer =>
  digestOf("sha256", Buffer.concat([Buffer.from(`${base}\n`), payload]), "buffer").subarray(
    0,
    CHECKSUM_BYTES,
  );

type ColumnHashes = readonly (string | undefined)[];

/** A process has one list of environments, and needs their hashes at every commit. */
const knownHashes = new WeakMap<readonly string[], ColumnHashes>();

/** The hash of each environment's column. Names that share one get no column: sending again is safe, skipping isn't. */
function columnHashes(environments: readonly string[]): ColumnHashes {
  const known = knownHashes.get(environments);
  if (known !== undefined) return known;
  const all = environments.map(environmentHash);
  const hashes = all.map((hash) => {
    const isShared = hash === SETTLED_HASH || all.indexOf(hash) !== all.lastIndexOf(hash);
    return isShared ? undefined : hash;
  });
  knownHashes.set(environments, hashes);
  return hashes;
}

const spanBytes = (first: number, last: number, previousEnd: number): number => {
  const gap = first - previousEnd;
  return varintLength((last - first) * 2) + (gap > 0 ? varintLength(gap) : 0);
};

function pushColumn(out: number[], hash: string, flags: readonly boolean[]): void {
  const unset = flags.indexOf(false);
  const cursor = unset === -1 ? flags.length : unset;
  const bitmap: number[] = [];
  for (let index = cursor; index < flags.length; index++) {
    if (!flags[index]) continue;
    const bit = index - cursor;
    while (bitmap.length <= bit >> 3) bitmap.push(0);
    bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
  }
  out.push(...Buffer.from(hash, "hex"));
  pushVarint(out, cursor);
  pushVarint(out, bitmap.length);
  out.push(...bitmap);
}

/**
 * Encodes the batches behind the committed offset `base`, in offset order. No batches: the empty string. Should it be too
 * long (an environment was added to a full ledger), acknowledgements are left out: asking again is safe.
 */
export function encodeLedger(
  base: number,
  batches: readonly Readonly<LedgerBatch>[],
  environments: readonly string[],
  maxChars = MAX_LEDGER_CHARS,
): string {
  if (batches.length === 0) return "";
  const whole = encodeWhole(base, batches, environments, maxChars);
  return whole.length <= maxChars ? whole : encodeWhole(base, batches, [], maxChars);
}

/** The splits at one environment that still matter, each with its distance from the one before. */
function encodedSplits(batches: readonly Readonly<LedgerBatch>[], environment: number): number[][] {
  const encoded: number[][] = [];
  let previous = 0;
  batches.forEach(({ settled, acknowledged, splits }, index) => {
    const split = splits?.[environment];
    if (split === undefined || split === "pending" || settled || acknowledged[environment]) return;
    const bits = encodeSplit(split);
    const bytes: number[] = [];
    pushVarint(bytes, index - previous);
    pushVarint(bytes, bits.length);
    previous = index;
    encoded.push(bytes.concat(...bits));
  });
  return encoded;
}

/**
 * Adds the splits, the oldest batches' first, as far as there is room. One that is left out costs no opt-out: after a crash
 * its batch would be sent whole again.
 */
function pushSplits(
  out: number[],
  batches: readonly Readonly<LedgerBatch>[],
  environments: readonly string[],
  maxChars: number,
): void {
  columnHashes(environments).forEach((hash, environment) => {
    if (hash === undefined) return;
    let room = capacityBytes(maxChars) - CHECKSUM_BYTES - out.length - HASH_BYTES - VARINT_BYTES;
    const kept: number[][] = [];
    for (const bytes of encodedSplits(batches, environment)) {
      room -= bytes.length;
      if (room < 0) break;
      kept.push(bytes);
    }
    if (kept.length === 0) return;
    out.push(...Buffer.from(hash, "hex"));
    pushVarint(out, kept.length);
    for (const bytes of kept) out.push(...bytes);
  });
}

function encodeWhole(
  base: number,
  batches: readonly Readonly<LedgerBatch>[],
  environments: readonly string[],
  maxChars: number,
): string {
  const out: number[] = [];
  pushVarint(out, batches.length);
  let previousEnd = base;
  for (const { first, last } of batches) {
    const gap = first - previousEnd;
    if (gap < 0 || last < first) throw new RangeError(`batch ${first}-${last} is out of order`);
    pushVarint(out, (last - first) * 2 + (gap > 0 ? 1 : 0));
    if (gap > 0) pushVarint(out, gap);
    previousEnd = last + 1;
  }
  out.push(...packDigests(batches.map(({ digest }) => digest)));
  const columns: { hash: string; flags: readonly boolean[] }[] = [];
  const addColumn = (hash: string | undefined, isSet: (batch: Readonly<LedgerBatch>) => boolean): void => {
    if (hash !== undefined && batches.some(isSet)) columns.push({ hash, flags: batches.map(isSet) });
  };
  columnHashes(environments).forEach((hash, index) => {
    addColumn(hash, ({ acknowledged }) => acknowledged[index] === true);
  });
  addColumn(SETTLED_HASH, ({ settled }) => settled);
  pushVarint(out, columns.length);
  for (const { hash, flags } of columns) pushColumn(out, hash, flags);
  pushSplits(out, batches, environments, maxChars);
  const payload = Uint8Array.from(out);
  return PREFIX + Buffer.concat([checksum(base, payload), payload]).toString("base64url");
}

function decodePayload(
  base: number,
  payload: Uint8Array,
  environments: readonly string[],
  onUnknown: (hash: string) => void,
): LedgerBatch[] {
  const from = reader(payload);
  const count = from.varint();
  if (count > payload.length) throw new RangeError("it claims more batches than it can hold");
  const batches: LedgerBatch[] = [];
  let previousEnd = base;
  for (let index = 0; index < count; index++) {
    const span = from.varint();
    const first = previousEnd + (span % 2 === 1 ? from.varint() : 0);
    const last = first + Math.floor(span / 2);
    if (!Number.isSafeInteger(last)) throw new RangeError("a number in it is too large");
    batches.push({ first, last, digest: 0, settled: false, acknowledged: environments.map(() => false) });
    previousEnd = last + 1;
  }
  const digests = from.take(digestBytes(count));
  batches.forEach((batch, index) => {
    batch.digest = digestAt(digests, index);
  });
  const hashes = columnHashes(environments);
  const columnOf = (hash: string): number => {
    if (!hashes.includes(hash) && hash !== SETTLED_HASH) onUnknown(hash);
    return hashes.indexOf(hash);
  };
  for (let left = from.varint(); left > 0; left--) {
    const hash = Buffer.from(from.take(HASH_BYTES)).toString("hex");
    const cursor = from.varint();
    const bitmap = from.take(from.varint());
    const column = columnOf(hash);
    batches.forEach((batch, index) => {
      const bit = index - cursor;
      const isSet = bit < 0 || (((bitmap[bit >> 3] ?? 0) >> (bit & 7)) & 1) === 1;
      if (!isSet) return;
      if (hash === SETTLED_HASH) batch.settled = true;
      else if (column >= 0) batch.acknowledged[column] = true;
    });
  }
  while (!from.atEnd()) readSplits(from, batches, columnOf);
  return batches;
}

function readSplits(
  from: ReturnType<typeof reader>,
  batches: LedgerBatch[],
  columnOf: (hash: string) => number,
): void {
  const environment = columnOf(Buffer.from(from.take(HASH_BYTES)).toString("hex"));
  let index = 0;
  for (let left = from.varint(); left > 0; left--) {
    index += from.varint();
    const split = decodeSplit(from.take(from.varint()));
    const batch = batches[index];
    if (batch === undefined) throw new RangeError("it splits a batch that it doesn't have");
    if (environment < 0) continue;
    batch.splits ??= batch.acknowledged.map(() => undefined);
    batch.splits[environment] = split;
  }
}

/**
 * Reads what `encodeLedger` wrote. An environment that the ledger doesn't know has acknowledged nothing; one that isn't
 * in `environments` any more is ignored, but for `onUnknown`, which is told its `environmentHash`, perhaps twice.
 * Never throws: foreign or damaged metadata is a `problem`.
 */
export function decodeLedger(
  base: number,
  metadata: string | null,
  environments: readonly string[],
  onUnknown: (hash: string) => void = () => {},
): DecodedLedger {
  if (metadata === null || metadata === "") return { ok: true, batches: [] };
  if (!metadata.startsWith(PREFIX)) return { ok: false, problem: "it wasn't written by this product" };
  const text = metadata.slice(PREFIX.length);
  const bytes = Buffer.from(text, "base64url");
  // Node passes over characters that don't belong and bits that don't count.
  if (bytes.toString("base64url") !== text) return { ok: false, problem: "it isn't in base64url" };
  const payload = bytes.subarray(CHECKSUM_BYTES);
  if (!checksum(base, payload).equals(bytes.subarray(0, CHECKSUM_BYTES))) {
    return { ok: false, problem: "its checksum is wrong" };
  }
  try {
    return { ok: true, batches: decodePayload(base, payload, environments, onUnknown) };
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message : String(error) };
  }
}

type LedgerSpan = Pick<Readonly<LedgerBatch>, "first" | "last" | "splits">;

/** Of all splits: they leave with their batch, but are in nobody's way before. Asked for at every seal, so it makes no lists. */
function splitBytes(spans: readonly LedgerSpan[], environmentCount: number): number {
  let bytes = 0;
  for (const { splits = [] } of spans) {
    for (const split of splits) if (split !== undefined) bytes += 2 + encodeSplit(split).length;
  }
  return bytes === 0 ? 0 : bytes + environmentCount * (HASH_BYTES + VARINT_BYTES);
}

/**
 * The share of the ledger's room that these batches take, 0 to more than 1, counted as if every bitmap were at its
 * longest: acknowledgements that come later must never make a sealed ledger too long. Splits count as they are.
 */
export function ledgerUsedRatio(
  base: number,
  spans: readonly LedgerSpan[],
  environmentCount: number,
  maxChars = MAX_LEDGER_CHARS,
): number {
  let bytes = CHECKSUM_BYTES + 2 * VARINT_BYTES;
  let previousEnd = base;
  for (const { first, last } of spans) {
    bytes += spanBytes(first, last, previousEnd);
    previousEnd = last + 1;
  }
  bytes += digestBytes(spans.length);
  bytes += (environmentCount + 1) * (HASH_BYTES + 2 * VARINT_BYTES + Math.ceil(spans.length / 8));
  bytes += splitBytes(spans, environmentCount);
  return spans.length === 0 ? 0 : bytes / capacityBytes(maxChars);
}
