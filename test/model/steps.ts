import fc from "fast-check";
import { MAX_LEDGER_CHARS } from "../../src/batching/ledger.ts";
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
  | { kind: "configure"; setting: Setting }
  /** All crash, and one starts. */
  | { kind: "restart"; setting: Setting };

export interface Plan {
  partitions: number;
  firstOffset: number;
  seed: number;
  setting: Setting;
  /** Of a ledger, at most: few, so that it gets full. */
  maxLedgerChars: number;
  /** How many there are: few, so that wishes about the same one meet. */
  phones: number;
  /** An environment that isn't mended before the others have what they can have. */
  outage: { name: string; mode: Mode } | null;
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
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("start") }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("crash", "cut"), process, arriving: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("stop", "suspend", "resume"), process }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("rebalance") }) },
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
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("configure", "restart"), setting }) },
);

/** Of steps that excuse the strictest checks: records that expire, and another configuration. */
const UNSETTLING: Readonly<Record<string, readonly Step["kind"][]>> = {
  stable: ["expire", "configure", "restart"],
  configured: ["expire"],
  all: [],
};

export const plan: fc.Arbitrary<Plan> = fc
  .record({
    partitions: fc.integer({ min: 1, max: 2 }),
    firstOffset: fc.constantFrom(0, 1_000),
    seed,
    setting,
    maxLedgerChars: fc.oneof(
      { weight: 3, arbitrary: fc.constant(MAX_LEDGER_CHARS) },
      fc.integer({ min: 112, max: 200 }),
    ),
    phones: fc.constantFrom(4, 24, 24),
    outage: fc.option(
      fc.record({
        name: fc.constantFrom(...ALL_ENVIRONMENTS.slice(0, 3)),
        mode: fc.constantFrom(
          "hang" as const,
          "cut" as const,
          "503" as const,
          "429" as const,
          "401" as const,
        ),
      }),
      { freq: 2 },
    ),
    without: fc.constantFrom("stable", "stable", "configured", "all"),
    steps: fc.array(step, { minLength: 5, maxLength: 60, size: "max" }),
  })
  .map(({ without, steps, ...rest }) => ({
    ...rest,
    steps: steps.filter(({ kind }) => !UNSETTLING[without]?.includes(kind)),
  }));

const write = (seed: number): Step => ({ kind: "produce", partition: 0, count: 8, seed });
const begin: Step = { kind: "pass", milliseconds: 600, busily: false };
const hang: Step = { kind: "environment", name: "us-west", mode: "hang" };

/** A restart that reads the records otherwise, while one environment has acknowledged and another hasn't. */
export const rereadPlan: fc.Arbitrary<Plan> = fc
  .record({ plan, seed })
  .map(({ plan: base, seed: wishes }) => {
    const first: Setting = { ...base.setting, environments: ["production", "us-west"], region: "US" };
    const restart: Step = { kind: "restart", setting: { ...first, region: "FR" } };
    return { ...base, setting: first, steps: [hang, write(wishes), begin, restart, ...base.steps] };
  });

/** Records expire that are about to be fetched, while an environment hasn't acknowledged those before. */
export const expiryPlan: fc.Arbitrary<Plan> = fc
  .record({ plan, seed })
  .map(({ plan: base, seed: wishes }) => {
    const expire: Step = { kind: "expire", partition: 0, share: 1 };
    const steps = [hang, write(wishes), begin, write(wishes + 1), expire, begin, ...base.steps];
    return { ...base, setting: { ...base.setting, environments: ["production", "us-west"] }, steps };
  });

/** A ledger that is full soon, since an environment doesn't acknowledge, while others refuse entries and take batches in pieces. */
export const fullPlan: fc.Arbitrary<Plan> = fc
  .record({ plan, seed, maxLedgerChars: fc.integer({ min: 112, max: 140 }) })
  .map(({ plan: base, seed: wishes, maxLedgerChars }) => {
    const steps = [hang, ...[0, 1, 2, 3, 4].map((more) => write(wishes + more)), begin, ...base.steps];
    const all = ALL_ENVIRONMENTS.slice(0, 3);
    const setting = { ...base.setting, environments: all, maxPendingEntries: 40 };
    return {
      ...base,
      setting: { ...setting, maxEntries: Math.min(2, setting.maxEntries) },
      maxLedgerChars,
      steps,
    };
  });

/** A process is told to end while requests are under way. */
export const stopPlan: fc.Arbitrary<Plan> = fc
  .record({ plan, seed, count: fc.integer({ min: 5, max: 40 }) })
  .map(({ plan: base, seed: wishes, count }) => {
    const underWay: Step = { kind: "happen", count, seed: wishes };
    const stop: Step = { kind: "stop", process: 0 };
    const end: Step = { kind: "pass", milliseconds: 12_000, busily: false };
    return { ...base, steps: [begin, write(wishes), underWay, stop, end, ...base.steps.slice(0, 5)] };
  });

/**
 * One environment fails again and again: some wishes by themselves while it takes others, all of them, or by turns. More wishes
 * come all the time, many about the same phones, and are given time.
 */
export const failingPlan: fc.Arbitrary<Plan> = fc
  .record({
    plan,
    modes: fc.array(
      fc.constantFrom("503 for some" as const, "429 for some" as const, "503" as const, "cut" as const),
      { minLength: 1, maxLength: 3 },
    ),
    wishes: fc.array(seed, { minLength: 8, maxLength: 16 }),
    milliseconds: fc.integer({ min: 300, max: 1_500 }),
  })
  .map(({ plan: base, modes, wishes, milliseconds }) => {
    const failing = modes.flatMap((mode): Step[] => [
      { kind: "environment", name: "us-west", mode },
      ...wishes.flatMap((each): Step[] => [
        { kind: "produce", partition: 0, count: 3, seed: each },
        { kind: "pass", milliseconds, busily: false },
      ]),
    ]);
    return {
      ...base,
      setting: { ...base.setting, environments: ["us-west"], maxEntries: 1, maxPendingEntries: 40 },
      maxLedgerChars: MAX_LEDGER_CHARS,
      phones: 4,
      steps: [begin, ...failing, ...base.steps.slice(0, 5)],
    };
  });
