import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { createScenario, optOuts, phones, type RelayProcess } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { assertOnEveryList, assertOneBodyPerKey, assertOneOutcomeEach } from "../support/verify.ts";
import { answersOf, stateOf, timesAt } from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

describe("an environment's quota", () => {
  after(releaseStack);

  test("replicas share the quota: no 429, whoever joins or leaves, and none of it lies idle", async () => {
    const rate = 40;
    const scenarioOptions = { environments: ["production"], partitions: 3, requestsPerSecond: rate };
    await using scenario = await createScenario({ ...scenarioOptions, batching: { maxEntries: 1 } });
    scenario.simulator.setFaults("production", { requestsPerSecond: rate });
    const owned = async (relay: RelayProcess): Promise<number> => (await stateOf(relay)).partitions.length;
    const feed = (from: number, to: number) =>
      scenario.produce(optOuts(from, to).map((message, index) => ({ ...message, partition: index % 3 })));
    const seen = () => timesAt(scenario, "production");

    const [first, second] = [await scenario.startRelay(), await scenario.startRelay()];
    await waitFor(
      "the partitions to be shared",
      async () => (await owned(first)) * (await owned(second)) === 2,
    );
    await feed(0, 360);
    await scenario.allSettled();
    const together = seen();
    assertWithin(together, rate);
    assertUsed(together, rate);

    first.kill("SIGTERM");
    assert.equal((await first.exit).code, 0);
    await waitFor("the other to own all", async () => (await owned(second)) === 3);
    await feed(360, 500);
    await scenario.allSettled();
    const alone = seen().slice(together.length);
    assertUsed(alone, rate);

    await feed(500, 700);
    const third = await scenario.startRelay();
    await waitFor("the third to have its share", async () => (await owned(third)) > 0);
    await scenario.allSettled();
    assertWithin(seen().slice(together.length), rate);
    assert.equal(answersOf(scenario, "production", 429), 0);
    assertOnEveryList(scenario, phones(0, 700));
    assertOneBodyPerKey(scenario);
    assert.deepEqual(await assertOneOutcomeEach(scenario, 700), { delivered: 700 });
  });
});

const WINDOW_MS = 2_000;

/** No window of two seconds holds more than its share and a quarter: the machine that counts may be slow, too. */
function assertWithin(at: readonly number[], rate: number): void {
  const limit = (rate * WINDOW_MS * 1.25) / 1_000;
  for (const from of at) {
    const count = at.filter((time) => time >= from && time < from + WINDOW_MS).length;
    assert.ok(count <= limit, `${count} requests in ${WINDOW_MS} ms, where ${limit} are the limit`);
  }
}

/** With enough to do, three quarters of the quota are used, and no more than all of it. */
function assertUsed(at: readonly number[], rate: number): void {
  const seconds = ((at.at(-1) ?? 0) - (at[0] ?? 0)) / 1_000;
  const used = at.length / seconds / rate;
  assert.ok(used > 0.75 && used < 1.1, `${Math.round(used * 100)} % of the quota used`);
}
