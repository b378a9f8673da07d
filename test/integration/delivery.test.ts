import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createScenario, optOuts, phoneOf, phones } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import {
  assertCutOnce,
  assertOnEveryList,
  assertOneBodyPerKey,
  assertOneOutcomeEach,
  entryRequests,
} from "../support/verify.ts";
import {
  answersOf,
  environmentOf,
  laneOf,
  listed,
  settledEvents,
  timesAt,
  warnings,
} from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

describe("delivery to environments that fail", () => {
  after(releaseStack);

  for (const [what, outage] of [
    ["cuts every connection", true],
    ["answers 503", "503"],
  ] as const) {
    test(`while one environment ${what}, the others stay ahead; afterwards all settles within seconds`, async () => {
      await using scenario = await createScenario();
      scenario.simulator.setFaults("us-west", { outage });
      const relay = await scenario.startRelay();
      await scenario.produce(optOuts(0, 1_000));
      for (const environment of ["production", "eu-central"]) {
        await waitFor(`all of it at ${environment}`, () => listed(scenario, environment) === 1_000);
      }
      await waitFor("the lane to close", async () => (await laneOf(relay, "us-west")).closure !== null);
      assert.equal((await laneOf(relay, "us-west")).closure?.reason, "token_unavailable");
      assert.equal(listed(scenario, "us-west"), 0);
      assert.equal(await settledEvents(scenario), 0, "nothing is settled before the last environment");
      assert.deepEqual(await scenario.statuses(), []);
      assert.equal(
        (await fetch(`${relay.url}/readyz`)).status,
        200,
        "an environment's outage isn't the relay's",
      );
      scenario.simulator.setFaults("us-west", {});
      const from = performance.now();
      await scenario.allSettled();
      assert.ok(performance.now() - from < 10_000, "settled soon after the outage");
      assertOnEveryList(scenario, phones(0, 1_000));
      assertOneBodyPerKey(scenario);
      assertCutOnce(scenario);
      assert.deepEqual(await assertOneOutcomeEach(scenario, 1_000), { delivered: 1_000 });
      assert.equal(warnings(relay).length, 1, "one line says that the lane closed");
      assert.ok(
        relay.logs().some(({ msg, environment }) => msg === "lane open again" && environment === "us-west"),
      );
    });
  }

  test("an outage that begins under way, with a token in hand, is retried without end too", async () => {
    await using scenario = await createScenario();
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 200));
    await scenario.allSettled();
    scenario.simulator.setFaults("us-west", { outage: "503" });
    await scenario.produce(optOuts(200, 800));
    await waitFor(
      "the lane to close",
      async () => (await laneOf(relay, "us-west")).closure?.reason === "unavailable",
    );
    await waitFor("all of it at production", () => listed(scenario, "production") === 800);
    const before = timesAt(scenario, "us-west").length;
    await sleep(1_500);
    const probes = timesAt(scenario, "us-west").length - before;
    assert.ok(
      probes >= 1 && probes <= 30,
      `a closed lane is probed now and then: ${probes} requests in 1.5 s`,
    );
    scenario.simulator.setFaults("us-west", {});
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 800));
    assertOneBodyPerKey(scenario);
    assert.deepEqual(await assertOneOutcomeEach(scenario, 800), { delivered: 800 });
  });

  for (const [form, headerOf] of [
    ["seconds", (_until: number) => "3"],
    ["an HTTP-date", (until: number) => new Date(until).toUTCString()],
  ] as const) {
    test(`Retry-After in ${form} keeps the environment unasked until then, and no other`, async () => {
      await using scenario = await createScenario();
      const relay = await scenario.startRelay({
        change: (config) => {
          environmentOf(config, "us-west").maxConcurrency = 1;
        },
      });
      // A whole second, since a date has no finer ones.
      const until = Math.ceil(Date.now() / 1_000) * 1_000 + 3_000;
      scenario.simulator.setFaults("us-west", { requestsPerSecond: 0.001, retryAfter: headerOf(until) });
      await scenario.produce(optOuts(0, 500));
      await waitFor("a 429", () => answersOf(scenario, "us-west", 429) > 0);
      assert.equal((await laneOf(relay, "us-west")).closure?.reason, "retry_after");
      scenario.simulator.setFaults("us-west", {});
      await scenario.allSettled();
      const statuses = entryRequests(scenario.simulator, "us-west").map(({ status }) => status);
      const refused = statuses.indexOf(429);
      const at = timesAt(scenario, "us-west");
      const [asked = 0, next = 0] = at.slice(refused, refused + 2);
      const allowed = form === "seconds" ? asked + 3_000 : until;
      assert.ok(next >= allowed, `asked again ${allowed - next} ms too early`);
      assert.ok(next <= allowed + 2_500, `asked again only ${next - allowed} ms later`);
      assert.equal(answersOf(scenario, "us-west", 429), 1);
      for (const environment of ["production", "eu-central"]) {
        assert.ok(Math.max(...timesAt(scenario, environment)) < next, `${environment} had to wait`);
      }
      assertOnEveryList(scenario, phones(0, 500));
      assertOneBodyPerKey(scenario);
    });
  }

  test("a short acknowledgement is never taken for delivery, and finally all are listed", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    scenario.simulator.setFaults("us-west", { shortAck: 3 });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 120));
    await waitFor(
      "entries to have been tried alone, and the lane to close",
      async () => (await laneOf(relay, "us-west")).closure?.reason === "short_answers",
    );
    const alone = entryRequests(scenario.simulator, "us-west").filter(({ entries }) => entries === 1);
    assert.ok(alone.length > 0 && alone.every(({ status, applied }) => status === 201 && !applied));
    const [warning] = warnings(relay);
    assert.match(warning?.msg ?? "", /doesn't say that it took the entries.*baseUrl/);
    assert.equal(await settledEvents(scenario), 0);
    assert.deepEqual(await scenario.statuses(), []);
    assert.ok(
      ((await relay.metric("optout_delivery_attempts_total", '{environment="us-west",outcome="short"}')) ??
        0) > 10,
    );
    assert.equal(
      await relay.metric("optout_delivery_attempts_total", '{environment="us-west",outcome="acknowledged"}'),
      0,
    );
    scenario.simulator.setFaults("us-west", {});
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 120));
    assertOneBodyPerKey(scenario);
    assert.deepEqual(await assertOneOutcomeEach(scenario, 120), { delivered: 120 });
  });

  test("phones that an environment refuses are found by halving; all others are delivered", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    const refused = [phoneOf(3), phoneOf(77), phoneOf(78)];
    scenario.simulator.setFaults("us-west", { rejectPhones: refused });
    await scenario.startRelay();
    await scenario.produce(optOuts(0, 300));
    await scenario.allSettled();
    const counts = await assertOneOutcomeEach(scenario, 300);
    assert.deepEqual(counts, { delivered: 297, partially_delivered: 3 });
    const at = scenario.simulator.entries("us-west").map(({ phone }) => phone);
    assert.deepEqual(
      phones(0, 300).filter((phone) => !at.includes(phone)),
      refused,
    );
    const batches = entryRequests(scenario.simulator, "production").length;
    const requests = entryRequests(scenario.simulator, "us-west").length;
    // A half for each level, twice, for each of the three: 50 entries are 6 levels.
    assert.ok(requests <= batches + 3 * 2 * 6, `${requests} requests for ${batches} batches`);
    const letters = await scenario.deadLetters();
    assert.equal(letters.length, 3);
    for (const { headers = {} } of letters) {
      assert.equal(String(headers["optout.reason"]), "refused_by_environment");
      assert.equal(String(headers["optout.environment"]), "us-west");
      assert.equal(String(headers["optout.http.status"]), "422");
      assert.ok(Number(headers["optout.attempts"]) >= 1);
    }
    assertOneBodyPerKey(scenario);
  });

  test("with 30 % errors and slow answers everywhere, all is delivered, one body for each key", async () => {
    await using scenario = await createScenario({ partitions: 3 });
    for (const environment of scenario.environments) {
      scenario.simulator.setFaults(environment, { errorRate: 0.3, latencyMs: 30, jitterMs: 120 });
    }
    await scenario.startRelay();
    await scenario.produce(optOuts(0, 2_000));
    await scenario.allSettled();
    for (const environment of scenario.environments) {
      assert.ok(answersOf(scenario, environment, 500) + answersOf(scenario, environment, 503) > 0);
    }
    assertOnEveryList(scenario, phones(0, 2_000));
    assertOneBodyPerKey(scenario);
    assertCutOnce(scenario);
    assert.deepEqual(await assertOneOutcomeEach(scenario, 2_000), { delivered: 2_000 });
  });
});
