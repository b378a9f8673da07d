import fc from "fast-check";
import type { BatchLimits } from "../../src/batching/batcher.ts";
import { type Input, inputs } from "./batching-arbitraries.ts";

export interface World {
  /** The records of the partition. */
  inputs: Input[];
  /** Offsets behind the last record, without a record: aborted ones. */
  tail: number;
  limits: BatchLimits & { maxPendingEntries: number };
}

export type Step =
  | { kind: "read"; count: number }
  | { kind: "pass"; milliseconds: number; busily: boolean }
  | { kind: "commit" }
  | { kind: "answerCommit"; arrived: boolean; confirmed: boolean }
  | { kind: "answer"; pick: number; refuses: boolean }
  | { kind: "publish"; pick: number }
  | { kind: "crash"; commitArrived: boolean };

export const world: fc.Arbitrary<World> = fc.record({
  inputs: inputs(60),
  tail: fc.nat(20),
  limits: fc.record({
    maxEntries: fc.integer({ min: 1, max: 6 }),
    maxWait: fc.integer({ min: 1, max: 500 }),
    maxBytes: fc.integer({ min: 60, max: 400 }),
    maxPendingEntries: fc.integer({ min: 6, max: 40 }),
  }),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("read"), count: fc.integer({ min: 1, max: 12 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("pass"),
      milliseconds: fc.integer({ min: 1, max: 600 }),
      busily: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("commit") }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("answerCommit"),
      arrived: fc.boolean(),
      confirmed: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("answer"), pick: fc.nat(50), refuses: fc.boolean() }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("publish"), pick: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash"), commitArrived: fc.boolean() }) },
);

export const steps: fc.Arbitrary<Step[]> = fc.array(step, { maxLength: 120, size: "max" });
