import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { simulate } from "../model/simulation.ts";
import { plan } from "../model/steps.ts";
import { installVirtualTime } from "../model/virtual-time.ts";

const RUNS = Number(process.env.OPTOUT_TEST_MODEL_RUNS ?? 300);

describe("the ledger protocol, whatever happens in whatever order", () => {
  let uninstall = () => {};
  before(() => {
    uninstall = installVirtualTime();
  });
  after(() => uninstall());

  test("keeps the invariants, as the brokers and the environments see them", async () => {
    await fc.assert(
      fc.asyncProperty(plan, async (given) => {
        assert.deepEqual(await simulate(given), []);
      }),
      { numRuns: RUNS },
    );
  });
});
