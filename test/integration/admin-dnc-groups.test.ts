import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import { createScenario, optOut, optOuts, phoneOf, phones } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import {
  assertOnEveryList,
  assertOneBodyPerKey,
  assertOneOutcomeEach,
  entryRequests,
} from "../support/verify.ts";
import { environmentOf } from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

const LONDON = "+442071838750";

/** us-west speaks the Admin API, with what `more` says. */
const withAdminApi =
  (more: object = {}) =>
  (config: ConfigInput): void => {
    const { name, baseUrl, requestsPerSecond, retry } = environmentOf(config, "us-west");
    const index = config.environments.findIndex((each) => each.name === name);
    config.environments[index] = {
      ...{ name, baseUrl, requestsPerSecond, retry },
      dialect: "admin-dnc-groups",
      tenantId: "11eb0b3a-0000-0000-0000-0242ac110003",
      groupId: 4711,
      auth: { accessKeyId: "key-id", accessKeySecret: "key-secret" },
      ...more,
    } as ConfigInput["environments"][number];
  };

describe("an environment that speaks admin-dnc-groups", () => {
  after(releaseStack);

  test("gets every number in its group, a hundred a call, beside environments of the other dialect", async () => {
    await using scenario = await createScenario({
      partitions: 1,
      batching: { maxEntries: 250, maxWait: "10m" },
    });
    await scenario.startRelay({
      change: withAdminApi({ numberForms: { 44: "digits" } }),
    });
    await scenario.produce([...optOuts(0, 499), optOut(499, { phone: LONDON })]);
    await scenario.allSettled();
    assertOnEveryList(scenario, [...phones(0, 499), LONDON]);
    assertOneBodyPerKey(scenario);
    assert.deepEqual(await assertOneOutcomeEach(scenario, 500), { delivered: 500 });
    const { simulator } = scenario;
    assert.ok(simulator.entries("us-west").every(({ dncGroupIds }) => dncGroupIds.includes(4711)));
    const calls = entryRequests(simulator, "us-west");
    assert.ok(
      calls.every(({ path, entries }) => path.endsWith("/dnc-groups/4711/records") && entries <= 100),
    );
    assert.equal(Math.max(...calls.map(({ entries }) => entries)), 100);
  });

  test("rejects what it can't hold and what its API refuses, and takes the rest", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    scenario.simulator.setFaults("us-west", {
      rejectPhones: [phoneOf(3)],
      dropAfterApply: 0.3,
      errorRate: 0.2,
    });
    await scenario.startRelay({ change: withAdminApi() });
    await scenario.produce([...optOuts(0, 99), optOut(99, { phone: LONDON })]);
    await scenario.allSettled();
    assert.deepEqual(await assertOneOutcomeEach(scenario, 100), { delivered: 98, partially_delivered: 2 });
    const listed = scenario.simulator.entries("us-west").map(({ phone }) => phone);
    assert.deepEqual(
      listed.sort(),
      phones(0, 99)
        .filter((phone) => phone !== phoneOf(3))
        .sort(),
    );
    const details = new Map((await scenario.statuses()).map(({ phone, detail }) => [phone, detail]));
    assert.match(
      details.get(LONDON) ?? "",
      /refused by us-west .*numbers of \+44 have no form here: set numberForms/,
    );
    assert.match(
      details.get(phoneOf(3)) ?? "",
      /refused by us-west \(HTTP 200: the API didn't add this number/,
    );
    for (const detail of details.values())
      assert.doesNotMatch(detail ?? "", /\d{7}/, "a number in the detail");
    assert.equal((await scenario.deadLetters()).length, 2);
  });

  test("with a client of its own, gets its token by OpenID Connect; revoked ones are replaced", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    const auth = {
      accessKeyId: "key-id",
      accessKeySecret: "key-secret",
      clientId: "app",
      clientSecret: "app-secret",
    };
    const relay = await scenario.startRelay({ change: withAdminApi({ auth }) });
    await scenario.produce(optOuts(0, 50));
    await scenario.allSettled();
    scenario.simulator.revokeTokens("us-west");
    await scenario.produce(optOuts(50, 100));
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 100));
    const tokens = scenario.simulator.requests("us-west").filter(({ kind }) => kind === "token");
    assert.deepEqual(
      tokens.map(({ path, status }) => [path, status]),
      [
        ["/auth/token", 200],
        ["/auth/token", 200],
      ],
    );
    await waitFor("both refreshes to be counted", async () => {
      const labels = '{environment="us-west",outcome="ok"}';
      return (await relay.metric("optout_token_refreshes_total", labels)) === 2;
    });
    const printed = relay.stdout() + relay.stderr();
    for (const secret of ["key-secret", "app-secret"]) assert.ok(!printed.includes(secret));
  });
});
