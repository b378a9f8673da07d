import { describe, test } from "node:test";
import fc from "fast-check";
import { createModel } from "./relay-partition-model.ts";
import { steps, world } from "./relay-partition-steps.ts";

describe("a partition, whatever happens in whatever order", () => {
  test("loses no event, cuts a committed range the same again, and asks nobody who has acknowledged", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    await fc.assert(
      fc.asyncProperty(world, steps, async (given, todo) => {
        const model = createModel(given, (milliseconds) => t.mock.timers.tick(milliseconds));
        try {
          for (const step of todo) await model.take(step);
          await model.finish();
        } finally {
          model.dispose();
        }
      }),
      { numRuns: 400 },
    );
  });
});
