import fc from "fast-check";
import type { LedgerBatch } from "../../src/batching/ledger.ts";

export interface Ledger {
  base: number;
  environments: string[];
  batches: LedgerBatch[];
}

const environmentNames = (max: number): fc.Arbitrary<string[]> =>
  fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/), { maxLength: max });

/** Mostly as batches are: close to each other and small; sometimes not. */
const gap = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 300 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 2 ** 40 }) },
);
const length = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 200 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 2 ** 40 }) },
);

export interface Span {
  first: number;
  last: number;
}

export const spansFrom = (base: number, steps: readonly { gap: number; length: number }[]): Span[] => {
  let next = base;
  return steps.map((step) => {
    const first = next + step.gap;
    next = first + step.length;
    return { first, last: next - 1 };
  });
};

export const steps = (
  maxLength: number,
  { minLength = 0, size = "small" }: { minLength?: number; size?: "small" | "max" } = {},
): fc.Arbitrary<{ gap: number; length: number }[]> =>
  fc.array(fc.record({ gap, length }), { minLength, maxLength, size });

/** Any of the 4,096, and not the same in neighbours. */
export const digestFrom = (seed: number): number => (seed * 2_654_435_761 + 97) % 4_096;

export const base: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: 0, max: 1_000 }),
  fc.integer({ min: 0, max: 2 ** 50 }),
);

export const ledgers = ({ maxBatches = 60, minBatches = 0 } = {}): fc.Arbitrary<Ledger> =>
  fc
    .record({ base, environments: environmentNames(5), steps: steps(maxBatches, { minLength: minBatches }) })
    .chain((shape) => {
      const spans = spansFrom(shape.base, shape.steps);
      const columns = shape.environments.length + 1;
      const flags = fc.array(fc.boolean(), { minLength: columns, maxLength: columns });
      return fc.array(flags, { minLength: spans.length, maxLength: spans.length }).map((rows) => ({
        base: shape.base,
        environments: shape.environments,
        batches: spans.map((span, index) => {
          const [settled = false, ...acknowledged] = rows[index] ?? [];
          return { ...span, digest: digestFrom(span.last), settled, acknowledged };
        }),
      }));
    });

/** A ledger of so many batches of 50 events, behind one another, where `isSet` says which flags are set. */
export const uniform = (
  count: number,
  environments: string[],
  isSet: (batch: number, environment: number) => boolean = () => false,
): Ledger => ({
  base: 1_000_000,
  environments,
  batches: Array.from({ length: count }, (_, index) => ({
    first: 1_000_000 + index * 50,
    last: 1_000_000 + index * 50 + 49,
    digest: digestFrom(index),
    settled: isSet(index, -1),
    acknowledged: environments.map((_name, environment) => isSet(index, environment)),
  })),
});
