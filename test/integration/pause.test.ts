import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import { createScenario, optOuts, phones, type RelayProcess, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import {
  assertCutOnce,
  assertOnEveryList,
  assertOneBodyPerKey,
  assertOneOutcomeEach,
  entryRequests,
} from "../support/verify.ts";
import { laneOf, listed, scrape, settledEvents, warnings } from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

async function ask({ url }: RelayProcess, path: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}/environments/${path}`, { method: "POST", headers });
  return { status: response.status, body: await response.json() };
}

/** What the metrics say of us-west's lane. */
async function shown(relay: RelayProcess) {
  const metrics = await scrape(relay);
  const environment = "us-west";
  const closed = metrics.families.get("optout_environment_lane_closed")?.samples ?? [];
  return {
    open: metrics.value("optout_environment_lane_open", { environment }),
    reasons: closed
      .filter(({ value }) => value === 1)
      .map(({ labels }) => [labels.environment, labels.reason]),
    since: metrics.value("optout_environment_lane_closed_since_timestamp_seconds", { environment }),
    until: metrics.value("optout_environment_lane_closed_until_timestamp_seconds", { environment }),
  };
}

const othersHave = (scenario: Scenario, count: number): Promise<boolean> =>
  waitFor(`the others to have ${count}`, () =>
    ["production", "eu-central"].every((name) => listed(scenario, name) === count),
  );

describe("an operator pauses an environment", () => {
  after(releaseStack);

  test("it gets nothing more, and the others all; resumed, it gets what it missed", async () => {
    await using scenario = await createScenario();
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 100));
    await scenario.allSettled();
    const before = Date.now();
    for (const _ of ["once", "twice"]) {
      assert.deepEqual(await ask(relay, "us-west/pause"), {
        status: 200,
        body: { environment: "us-west", paused: true },
      });
    }
    const after = Date.now();

    const { closure } = await laneOf(relay, "us-west");
    assert.ok(closure);
    assert.deepEqual([closure.reason, closure.until], ["paused", null]);
    assert.match(closure.since, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const since = Date.parse(closure.since);
    assert.ok(before - 5 <= since && since <= after + 5, `${closure.since}, by two processes' clocks`);
    const paused = await shown(relay);
    assert.deepEqual(
      { ...paused, since: undefined },
      { open: 0, reasons: [["us-west", "paused"]], since: undefined, until: 0 },
    );
    assert.ok(Math.abs(paused.since * 1000 - since) <= 5);

    const seen = entryRequests(scenario.simulator, "us-west").length;
    await scenario.produce(optOuts(100, 400));
    await othersHave(scenario, 400);
    await waitFor("all of it to wait for us-west", async () => {
      const pending = (await scrape(relay)).value("optout_environment_pending_entries", {
        environment: "us-west",
      });
      return pending === 300;
    });
    assert.equal(entryRequests(scenario.simulator, "us-west").length, seen, "nothing more came");
    assert.equal(await settledEvents(scenario), 100, "and nothing of it counts as settled");
    for (const name of ["production", "eu-central"]) assert.equal((await laneOf(relay, name)).closure, null);
    assert.equal((await fetch(`${relay.url}/readyz`)).status, 200, "not the relay's fault");

    assert.deepEqual(await ask(relay, "us-west/resume"), {
      status: 200,
      body: { environment: "us-west", paused: false },
    });
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 400));
    assertOneBodyPerKey(scenario);
    assertCutOnce(scenario);
    assert.deepEqual(await assertOneOutcomeEach(scenario, 400), { delivered: 400 });
    assert.equal((await laneOf(relay, "us-west")).closure, null);
    assert.deepEqual(await shown(relay), { open: 1, reasons: [], since: 0, until: 0 });
    assert.deepEqual(
      warnings(relay).map(({ environment, msg }) => [environment, /paused/.test(msg)]),
      [["us-west", true]],
      "told once",
    );
  });

  test("a pause takes the token, and ends with the process: after a restart opt-outs flow", async () => {
    await using scenario = await createScenario();
    const adminToken = "let-me-in-4711";
    const change = (config: ConfigInput) => {
      config.server = { port: 0, adminToken };
    };
    const first = await scenario.startRelay({ change });
    assert.equal((await ask(first, "us-west/pause")).status, 401);
    assert.equal((await laneOf(first, "us-west")).closure, null);
    const authorization = `Bearer ${adminToken}`;
    assert.equal((await ask(first, "us-east/pause", { authorization })).status, 404);
    assert.equal((await ask(first, "us-west/pause", { authorization })).status, 200);
    await scenario.produce(optOuts(0, 100));
    await othersHave(scenario, 100);
    first.kill("SIGTERM");
    assert.deepEqual(await first.exit, { code: 0, signal: null }, "a pause doesn't hold up the end");
    assert.equal(listed(scenario, "us-west"), 0);
    assert.doesNotMatch(first.stdout() + first.stderr(), new RegExp(adminToken));

    await scenario.startRelay({ change });
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 100));
    assertCutOnce(scenario);
    assert.deepEqual(await assertOneOutcomeEach(scenario, 100), { delivered: 100 });
  });
});
