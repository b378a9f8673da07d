import assert from "node:assert/strict";
import fc from "fast-check";

/** Times as many runs as `npm test` has time for, and other ones each time. */
const FACTOR = Number(process.env.OPTOUT_TEST_FUZZ_RUNS ?? 1);
/** The same inputs each time, unless there are to be more of them. A failure says which seed it had. */
const SEED = process.env.OPTOUT_TEST_FUZZ_RUNS === undefined ? { seed: 20_260_301 } : {};

export const parameters = (runs: number) => ({ numRuns: Math.ceil(runs * FACTOR), ...SEED });

/** What every object and array inherits: nothing that comes from outside may change it. */
const inherited = (): string =>
  [Object.prototype, Array.prototype, Function.prototype]
    .flatMap((prototype) =>
      Reflect.ownKeys(prototype).map(
        (key) => `${String(key)}:${typeof Object.getOwnPropertyDescriptor(prototype, key)?.value}`,
      ),
    )
    .join();

const INHERITED = inherited();

/** For all inputs: the check holds, and the prototypes are as they were. */
export function fuzz<T>(input: fc.Arbitrary<T>, check: (value: T) => void, runs: number): void {
  fc.assert(fc.property(input, check), parameters(runs));
  assert.equal(inherited(), INHERITED, "a prototype was changed");
}

export async function fuzzAsync<T>(
  input: fc.Arbitrary<T>,
  check: (value: T) => Promise<void>,
  runs: number,
): Promise<void> {
  await fc.assert(fc.asyncProperty(input, check), parameters(runs));
  assert.equal(inherited(), INHERITED, "a prototype was changed");
}

/** Bytes and texts that readers stumble over. */
const AWKWARD = [
  ...[
    "\0",
    "\u0001",
    "\ufeff",
    '"',
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\\u0000",
    "\\ud800",
    "null",
    "-1",
    "1e999",
  ],
  ...[
    "9007199254740993",
    "18446744073709551616",
    "NaN",
    '"__proto__"',
    '"constructor"',
    '"phone"',
    '"data"',
    `$${"{A}"}`,
  ],
  ...[
    "%00",
    "%ff",
    "&",
    "=",
    ";",
    "\r\n",
    "\r\n\r\n",
    "<<",
    "*a",
    "&a",
    "!!",
    "---\n",
    "- ",
    "? ",
    "\t",
    "..",
    "optout1.",
  ],
].map((text) => Buffer.from(text));
const AWKWARD_BYTES = [
  "00",
  "7f",
  "80",
  "ff",
  "ffffffff",
  "ffffffffffffffffff01",
  "fffffffffffffffff7f",
  "c0af",
  "eda080",
  "feff",
].map((hex) => Buffer.from(hex, "hex"));

type Change = (bytes: Buffer) => Buffer;

const at = (bytes: Buffer, place: number): number => Math.floor(place * (bytes.length + 1));
const spliced = (bytes: Buffer, from: number, to: number, ...between: Buffer[]): Buffer =>
  Buffer.concat([bytes.subarray(0, from), ...between, bytes.subarray(to)]);

function changes(corpus: readonly Buffer[]): fc.Arbitrary<Change> {
  const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const piece = fc.oneof(
    fc.constantFrom(...AWKWARD, ...AWKWARD_BYTES),
    fc.uint8Array({ minLength: 1, maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(fc.constantFrom(...corpus), place, fc.nat(20)).map(([other, from, length]) => {
      const start = at(other, from);
      return other.subarray(start, start + length);
    }),
  );
  const shape = fc.record({
    place,
    piece,
    length: fc.nat(12),
    times: fc.constantFrom(2, 3, 50),
    bit: fc.nat(7),
  });
  return fc.tuple(fc.nat(6), shape).map(
    ([kind, { place, piece, length, times, bit }]): Change =>
      (bytes) => {
        const from = at(bytes, place);
        const to = Math.min(bytes.length, from + length);
        if (kind === 0) return spliced(bytes, from, from, piece);
        if (kind === 1) return spliced(bytes, from, from + piece.length, piece);
        if (kind === 2) return spliced(bytes, from, to);
        if (kind === 3) return bytes.subarray(0, from);
        if (kind === 4)
          return spliced(bytes, from, from, ...Array.from({ length: times }, () => bytes.subarray(from, to)));
        if (kind === 5) return spliced(bytes, from, from, ...Array.from({ length: times }, () => piece));
        const copy = Buffer.from(bytes);
        if (from < copy.length) copy[from] = (copy[from] ?? 0) ^ (1 << bit);
        return copy;
      },
  );
}

/** What is in the corpus, with one to five things changed: nearly right, which gets further in than chance does. */
export const mutated = (corpus: readonly Buffer[]): fc.Arbitrary<Buffer> =>
  fc
    .tuple(fc.constantFrom(...corpus), fc.array(changes(corpus), { minLength: 1, maxLength: 5 }))
    .map(([bytes, all]) => all.reduce((changed, change) => change(changed), bytes));

export const mutatedText = (corpus: readonly string[]): fc.Arbitrary<string> =>
  mutated(corpus.map((text) => Buffer.from(text))).map((bytes) => bytes.toString());

/** JSON in which keys and values are such as readers stumble over; `words` are names that mean something to the reader. */
export const hostileJson = (words: readonly string[]): fc.Arbitrary<string> => {
  const key = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...words) },
    fc.constantFrom(
      "__proto__",
      "constructor",
      "prototype",
      "toString",
      "hasOwnProperty",
      "length",
      "then",
      "",
    ),
  );
  const scalar = fc.oneof(
    fc.constantFrom(
      "1e999",
      "-1e999",
      "-0",
      "9007199254740993",
      "0.1e-400",
      "true",
      "null",
      '"\\ud800"',
      '"\\u0000"',
    ),
    fc.string({ unit: "binary", maxLength: 20 }).map((text) => JSON.stringify(text)),
    fc.integer().map(String),
    fc.constantFrom(...words).map((text) => JSON.stringify(text)),
  );
  const { value } = fc.letrec<{ value: string; object: string; array: string }>((tie) => ({
    value: fc.oneof({ maxDepth: 4, depthSize: "small" }, scalar, tie("object"), tie("array")),
    object: fc
      .array(fc.tuple(key, tie("value")), { maxLength: 6 })
      .map((members) => `{${members.map(([name, of]) => `${JSON.stringify(name)}:${of}`).join()}}`),
    array: fc.array(tie("value"), { maxLength: 4 }).map((items) => `[${items.join()}]`),
  }));
  return value;
};
