import fc from "fast-check";
import { MODES, type Mode } from "./environments.ts";
import { ALL_ENVIRONMENTS, type Setting } from "./relay-process.ts";

/** What the model does next. Each step is possible in any state, so that any part of a list of steps is one too. */
export type Step =
  /** So many things happen that may, in an order that `seed` decides. */
  | { kind: "happen"; count: number; seed: number }
  /** Time passes; unless all are too busy, everything that may happens at once. */
  | { kind: "pass"; milliseconds: number; busily: boolean }
  | { kind: "produce"; partition: number; count: number; seed: number }
  | { kind: "start" }
  | { kind: "crash" | "cut"; process: number; arriving: number }
  | { kind: "stop" | "suspend" | "resume"; process: number }
  | { kind: "rebalance" }
  | { kind: "commit fails"; process: number; error: string }
  | { kind: "results fail"; process: number; how: "refused" | "lost" }
  | { kind: "fetch fails"; process: number; error: string }
  | { kind: "environment"; name: string; mode: Mode }
  /** Records are deleted: so much of what there is, 0 to 1. */
  | { kind: "expire"; partition: number; share: number }
  /** For processes that start from now on. */
  | { kind: "configure"; setting: Setting };

export interface Plan {
  partitions: number;
  firstOffset: number;
  seed: number;
  setting: Setting;
  steps: Step[];
}

const seed = fc.nat(2 ** 31 - 1);
const process = fc.nat(2);
const partition = fc.nat(1);

const environments = fc.subarray(ALL_ENVIRONMENTS.slice(0, 3), { minLength: 1 });

export const setting: fc.Arbitrary<Setting> = fc.record({
  environments,
  region: fc.constantFrom("US" as const, "US" as const, "FR" as const),
  maxEntries: fc.integer({ min: 1, max: 6 }),
  maxWait: fc.integer({ min: 1, max: 500 }),
  maxBytes: fc.integer({ min: 60, max: 400 }),
  maxPendingEntries: fc.integer({ min: 6, max: 40 }),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.record({ kind: fc.constant("happen"), count: fc.integer({ min: 1, max: 12 }), seed }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("pass"),
      milliseconds: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 300, max: 12_000 })),
      busily: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("produce"),
      partition,
      count: fc.integer({ min: 1, max: 8 }),
      seed,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("start") }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("crash", "cut"), process, arriving: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("stop", "suspend", "resume"), process }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rebalance") }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("commit fails"),
      process,
      error: fc.constantFrom("lost", "GROUP_LOAD_IN_PROGRESS", "NOT_COORDINATOR_FOR_GROUP"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("results fail"),
      process,
      how: fc.constantFrom("refused", "lost"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("fetch fails"),
      process,
      error: fc.constantFrom("NOT_LEADER_FOR_PARTITION", "UNKNOWN", "TOPIC_AUTHORIZATION_FAILED"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("environment"),
      name: fc.constantFrom(...ALL_ENVIRONMENTS),
      mode: fc.constantFrom(...MODES),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("expire"),
      partition,
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("configure"), setting }) },
);

/** Without what stands in the way of the strictest checks: expiring records and changes of the configuration. */
export const plan: fc.Arbitrary<Plan> = fc
  .record({
    partitions: fc.integer({ min: 1, max: 2 }),
    firstOffset: fc.constantFrom(0, 1_000),
    seed,
    setting,
    kinds: fc.constantFrom("all", "stable", "stable"),
    steps: fc.array(step, { minLength: 5, maxLength: 60, size: "max" }),
  })
  .map(({ kinds, steps, ...rest }) => ({
    ...rest,
    steps: kinds === "all" ? steps : steps.filter(({ kind }) => kind !== "expire" && kind !== "configure"),
  }));
