import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { SABOTAGES } from "../model/sabotage.ts";
import { simulate } from "../model/simulation.ts";
import { type Plan, plan, rereadPlan } from "../model/steps.ts";
import { installVirtualTime } from "../model/virtual-time.ts";

/** More of them for a long look; a failure tells the seed and the path that bring it back. */
const RUNS = Number(process.env.OPTOUT_TEST_MODEL_RUNS ?? 200);

/** Plans that are enough for each sabotage to be noticed. */
const SABOTAGED_RUNS = 400;

describe("the ledger protocol, whatever happens in whatever order", () => {
  let uninstall = () => {};
  before(() => {
    uninstall = installVirtualTime();
  });
  after(() => uninstall());

  test("keeps the invariants, as brokers, environments and readers of the results see them", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof({ weight: 9, arbitrary: plan }, rereadPlan), async (given) => {
        assert.deepEqual(await simulate(given), []);
      }),
      { numRuns: RUNS },
    );
  });

  for (const { name, hurts, seed, sabotage, plans = plan } of SABOTAGES) {
    test(`the model notices ${name}`, async () => {
      const isNoticed = async (given: Plan): Promise<boolean> =>
        (await simulate(given, { sabotage })).some((violation) => hurts.test(violation));
      const { failed } = await fc.check(
        fc.asyncProperty(plans, async (given) => !(await isNoticed(given))),
        { numRuns: SABOTAGED_RUNS, seed, endOnFailure: true },
      );
      assert.ok(failed, "nothing was noticed");
    });
  }
});
