import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  decodeLedger,
  encodeLedger,
  environmentHash,
  type LedgerBatch,
  ledgerUsedRatio,
  MAX_LEDGER_CHARS,
} from "../../src/batching/ledger.ts";
import { base, type Ledger, ledgers, spansFrom, steps, uniform } from "./ledger-arbitraries.ts";

const encode = (ledger: Ledger): string => encodeLedger(ledger.base, ledger.batches, ledger.environments);

const decode = (at: number, metadata: string | null, environments: readonly string[]): LedgerBatch[] => {
  const decoded = decodeLedger(at, metadata, environments);
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.batches;
};

const THREE = ["production", "us-west", "eu-central"];

describe("ledger: round trip", () => {
  test("what is written is read again: spans, acknowledgements, settled batches", () => {
    fc.assert(
      fc.property(ledgers(), (ledger) => {
        assert.deepEqual(decode(ledger.base, encode(ledger), ledger.environments), ledger.batches);
      }),
      { numRuns: 500 },
    );
  });

  test("every pattern of flags over a few batches and environments", () => {
    const environments = ["a", "b"];
    for (let count = 1; count <= 4; count++) {
      for (let bits = 0; bits < 1 << (count * 3); bits++) {
        const ledger = uniform(count, environments, (batch, environment) => {
          return ((bits >> (batch * 3 + environment + 1)) & 1) === 1;
        });
        assert.deepEqual(decode(ledger.base, encode(ledger), environments), ledger.batches);
      }
    }
  });

  test("it is plain ASCII with the product's prefix, in the alphabet of base64url", () => {
    fc.assert(
      fc.property(ledgers({ minBatches: 1 }), (ledger) => {
        assert.match(encode(ledger), /^optout1\.[A-Za-z0-9_-]+$/);
      }),
    );
  });

  test("no batches are the empty string; empty and absent metadata are no batches", () => {
    assert.equal(encodeLedger(7, [], THREE), "");
    assert.deepEqual(decodeLedger(7, "", THREE), { ok: true, batches: [] });
    assert.deepEqual(decodeLedger(7, null, THREE), { ok: true, batches: [] });
  });

  test("batches out of order, overlapping or before the committed offset can't be written", () => {
    const span = (first: number, last: number) => ({
      first,
      last,
      digest: 0,
      settled: false,
      acknowledged: [],
    });
    for (const batches of [
      [span(10, 19), span(5, 9)],
      [span(10, 19), span(19, 20)],
      [span(4, 9)],
      [span(12, 11)],
    ]) {
      assert.throws(() => encodeLedger(5, batches, []), RangeError);
    }
  });
});

describe("ledger: other environments than it was written with", () => {
  test("added ones have acknowledged nothing, removed ones are ignored, reordered ones keep their own", () => {
    const reshaped = ledgers().chain((ledger) =>
      fc.record({
        ledger: fc.constant(ledger),
        kept: fc.shuffledSubarray(ledger.environments),
        added: fc.uniqueArray(fc.stringMatching(/^NEW-[a-z]{1,8}$/), { maxLength: 3 }),
      }),
    );
    fc.assert(
      fc.property(reshaped, fc.infiniteStream(fc.nat()), ({ ledger, kept, added }, places) => {
        const environments = [...kept];
        for (const name of added) {
          environments.splice((places.next().value ?? 0) % (environments.length + 1), 0, name);
        }
        const decoded = decode(ledger.base, encode(ledger), environments);
        assert.equal(decoded.length, ledger.batches.length);
        for (const [index, { acknowledged, ...span }] of decoded.entries()) {
          const { acknowledged: before = [], ...spanBefore } = ledger.batches[index] ?? {};
          assert.deepEqual(span, spanBefore);
          for (const [environment, name] of environments.entries()) {
            assert.equal(acknowledged[environment], before[ledger.environments.indexOf(name)] ?? false);
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  test("environments whose names share a hash never get each other's acknowledgements", () => {
    const [one, other] = namesThatCollide();
    assert.equal(environmentHash(one), environmentHash(other));
    const batch = { first: 5, last: 9, digest: 7, settled: false, acknowledged: [true, false, true] };
    const environments = [one, other, "third"];
    const both = decode(5, encodeLedger(5, [batch], environments), environments);
    assert.deepEqual(both[0]?.acknowledged, [false, false, true]);
    const alone = encodeLedger(5, [batch], [one]);
    assert.deepEqual(decode(5, alone, [one])[0]?.acknowledged, [true]);
    assert.deepEqual(decode(5, alone, [one, other])[0]?.acknowledged, [false, false]);
  });
});

/** The hash has 32 bits, so that among some hundred thousand names two share one. */
function namesThatCollide(): [string, string] {
  const seen = new Map<string, string>();
  for (let index = 0; ; index++) {
    const name = `environment-${index}`;
    const hash = environmentHash(name);
    const other = seen.get(hash);
    if (other !== undefined) return [other, name];
    seen.set(hash, name);
  }
}

describe("ledger: size", () => {
  const worstCases: ((batch: number, environment: number) => boolean)[] = [
    () => false,
    () => true,
    (batch) => batch > 0,
    (batch) => batch % 2 === 1,
    (batch, environment) => (batch + environment) % 2 === 1,
    (batch) => batch % 8 === 7,
  ];

  test("whatever is acknowledged later, batches that have room stay within 4096 characters", () => {
    const shape = fc.record({
      base,
      environmentCount: fc.integer({ min: 0, max: 64 }),
      steps: steps(1_500, { size: "max" }),
      flags: fc.infiniteStream(fc.boolean()),
    });
    fc.assert(
      fc.property(shape, (given) => {
        const environments = Array.from(
          { length: given.environmentCount },
          (_, index) => `environment-${index}`,
        );
        let spans = spansFrom(given.base, given.steps);
        while (ledgerUsedRatio(given.base, spans, environments.length) > 1) {
          spans = spans.slice(0, Math.floor(spans.length * 0.95));
        }
        const flag = () => given.flags.next().value === true;
        for (const isSet of [...worstCases, flag]) {
          const batches = spans.map((span, batch) => ({
            ...span,
            digest: 4_095,
            settled: isSet(batch, -1),
            acknowledged: environments.map((_, environment) => isSet(batch, environment)),
          }));
          assert.ok(encodeLedger(given.base, batches, environments).length <= MAX_LEDGER_CHARS);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("filled up to the last batch that has room, it never exceeds 4096 characters", () => {
    for (const environments of [[], ["one"], THREE, Array.from({ length: 64 }, (_, index) => `e${index}`)]) {
      const { base: at, batches } = uniform(4_000, environments);
      let count = 0;
      let tooMany = batches.length;
      while (tooMany - count > 1) {
        const middle = (count + tooMany) >> 1;
        if (ledgerUsedRatio(at, batches.slice(0, middle), environments.length) <= 1) count = middle;
        else tooMany = middle;
      }
      for (const isSet of worstCases) {
        assert.ok(encode(uniform(count, environments, isSet)).length <= MAX_LEDGER_CHARS);
      }
      // Nor is the room wasted: little more wouldn't fit, and then goes without acknowledgements.
      const over = uniform(Math.ceil(count * 1.05) + 1, environments, (batch) => batch % 2 === 1);
      const text = encode(over);
      const isKept = decode(over.base, text, environments).some(({ acknowledged }) =>
        acknowledged.includes(true),
      );
      assert.ok(
        text.length > MAX_LEDGER_CHARS * 0.95 || (environments.length > 0 && !isKept),
        `${environments.length} environments, ${count} batches`,
      );
    }
  });

  test("a full ledger to which environments were added keeps its batches, without acknowledgements", () => {
    const many = Array.from({ length: 40 }, (_, index) => `e${index}`);
    const { base: at, batches } = uniform(1_000, many, (batch) => batch % 2 === 1);
    const text = encode({ base: at, environments: many, batches });
    assert.ok(text.length <= MAX_LEDGER_CHARS);
    const read = decode(at, text, many);
    assert.deepEqual(
      read.map(({ first, last, digest, settled }) => ({ first, last, digest, settled })),
      batches.map(({ first, last, digest, settled }) => ({ first, last, digest, settled })),
    );
    assert.ok(read.every(({ acknowledged }) => !acknowledged.includes(true)));
  });

  test("a thousand batches of 50 fit with three environments, however they are acknowledged", () => {
    for (const isSet of worstCases) {
      const ledger = uniform(1_000, THREE, isSet);
      assert.ok(ledgerUsedRatio(ledger.base, ledger.batches, THREE.length) < 1);
      assert.ok(encode(ledger).length <= MAX_LEDGER_CHARS);
      assert.deepEqual(decode(ledger.base, encode(ledger), THREE), ledger.batches);
    }
  });

  test("the used ratio is 0 for none and grows with every batch and environment", () => {
    assert.equal(ledgerUsedRatio(0, [], 3), 0);
    let before = 0;
    for (let count = 1; count <= 100; count++) {
      const { base: at, batches } = uniform(count, THREE);
      const ratio = ledgerUsedRatio(at, batches, 3);
      assert.ok(ratio > before);
      assert.ok(ledgerUsedRatio(at, batches, 4) > ratio);
      before = ratio;
    }
  });

  test("the ratio doesn't rise when the committed offset moves on behind settled batches", () => {
    fc.assert(
      fc.property(base, steps(40), (at, shape) => {
        const spans = spansFrom(at, shape);
        let before = ledgerUsedRatio(at, spans, 3);
        for (const [index, { last }] of spans.entries()) {
          const ratio = ledgerUsedRatio(last + 1, spans.slice(index + 1), 3);
          assert.ok(ratio <= before);
          before = ratio;
        }
      }),
    );
  });
});
