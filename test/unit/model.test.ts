import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { describe, test } from "node:test";
import { explore } from "../model/explore.ts";
import { SABOTAGES } from "../model/sabotage.ts";

const { OPTOUT_TEST_MODEL_RUNS, OPTOUT_TEST_MODEL_SEED } = process.env;
const RUNS = Number(OPTOUT_TEST_MODEL_RUNS ?? 200);
/** The same plans each time, unless there are to be more of them. A failure says which seed it had. */
const SEED = Number(
  OPTOUT_TEST_MODEL_SEED ?? (OPTOUT_TEST_MODEL_RUNS === undefined ? 20_260_301 : Date.now() % 2 ** 31),
);
/** Worth a thread of their own. */
const RUNS_PER_THREAD = 1_000;

/** Plans that are enough for each sabotage to be noticed. */
const SABOTAGED_RUNS = 400;

describe("the ledger protocol, whatever happens in whatever order", () => {
  test("keeps the invariants, as brokers, environments and readers of the results see them", async () => {
    const threads = Math.min(availableParallelism(), Math.ceil(RUNS / RUNS_PER_THREAD));
    const each = Array.from({ length: threads }, (_, index) => ({
      runs: Math.ceil(RUNS / threads),
      seed: SEED + index,
    }));
    const reports = await Promise.all(each.map(explore));
    const found = reports.filter((report) => report !== undefined);
    assert.ok(found.length === 0, found.join("\n"));
  });

  for (const { name, seed } of SABOTAGES) {
    test(`the model notices ${name}`, async () => {
      const report = await explore({ runs: SABOTAGED_RUNS, seed, sabotage: name });
      assert.ok(report !== undefined, "nothing was noticed");
    });
  }
});
