import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createSimulator, type Simulator } from "../../src/simulator/index.ts";
import { replaceFile } from "../support/files.ts";
import { createProxy } from "../support/proxy.ts";
import { createScenario, optOut, optOuts, phones } from "../support/scenario.ts";
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
  tokenRequests,
  warnings,
} from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

describe("tokens and credentials", () => {
  after(releaseStack);

  test("tokens revoked under load are refreshed once, however many requests are refused", async () => {
    await using scenario = await createScenario({ batching: { maxEntries: 5 } });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 50));
    await scenario.allSettled();
    const tell = (action: string) => fetch(`${relay.url}/environments/us-west/${action}`, { method: "POST" });
    for (const round of [1, 2]) {
      scenario.simulator.revokeTokens("us-west");
      // Let off all at once.
      await tell("pause");
      await scenario.produce(optOuts(round * 500, round * 500 + 400));
      await waitFor("the batches to be there", async () => (await laneOf(relay, "us-west")).queued >= 80);
      await tell("resume");
      await scenario.allSettled();
      assert.equal(tokenRequests(scenario, "us-west").length, 1 + round, `tokens after round ${round}`);
    }
    const refused = answersOf(scenario, "us-west", 401);
    assert.ok(refused > 8, `a storm of ${refused}`);
    assert.equal(tokenRequests(scenario, "production").length, 1);
    assert.equal(
      await relay.metric("optout_token_refreshes_total", '{environment="us-west",outcome="ok"}'),
      3,
    );
    assert.equal(
      await relay.metric("optout_delivery_attempts_total", '{environment="us-west",outcome="unauthorized"}'),
      refused,
    );
    const wakers = warnings(relay).filter(({ msg }) => !msg.startsWith("lane paused by an operator"));
    assert.deepEqual(wakers, [], "a refresh is no reason to wake anybody");
    assertOneBodyPerKey(scenario);
    assertOnEveryList(scenario, [...phones(500, 900), ...phones(1_000, 1_400)]);
  });

  test("tokens that live for four seconds are refreshed before they expire", async () => {
    await using scenario = await createScenario({
      environments: ["production"],
      batching: { maxEntries: 1 },
    });
    scenario.simulator.setFaults("production", { tokenTtlSeconds: 4 });
    await scenario.startRelay();
    for (let sent = 0; sent < 100; sent++) {
      await scenario.produce([optOut(sent)]);
      await sleep(80);
    }
    await scenario.allSettled();
    const tokens = tokenRequests(scenario, "production").length;
    assert.ok(tokens >= 3 && tokens <= 12, `${tokens} tokens`);
    assert.equal(answersOf(scenario, "production", 401), 0, "an expired token was used");
    assertOnEveryList(scenario, phones(0, 100));
  });

  test("wrong credentials close one lane, say so, and heal by themselves once they are right", async () => {
    await using scenario = await createScenario();
    await using stranger = await createSimulator({
      environments: [{ name: "us-west", clientId: "relay", clientSecret: "another-secret" }],
    });
    const proxy = await createProxy(stranger.baseUrl("us-west"));
    try {
      const relay = await scenario.startRelay({
        change: (config) => {
          environmentOf(config, "us-west").baseUrl = proxy.baseUrl;
        },
      });
      await scenario.produce(optOuts(0, 300));
      await waitFor("the others to have all", () =>
        ["production", "eu-central"].every((name) => listed(scenario, name) === 300),
      );
      await waitFor(
        "the lane to close",
        async () => (await laneOf(relay, "us-west")).closure?.reason === "credentials_refused",
      );
      assert.equal(await relay.metric("optout_environment_lane_open", '{environment="us-west"}'), 0);
      assert.ok(
        ((await relay.metric("optout_token_refreshes_total", '{environment="us-west",outcome="refused"}')) ??
          0) > 0,
      );
      const [warning, ...others] = warnings(relay);
      assert.deepEqual(others, []);
      assert.equal(warning?.environment, "us-west");
      assert.equal(warning?.scope, "dnc:write");
      assert.match(warning?.msg ?? "", /lane closed.*credentials in auth, auth\.scope/);
      assert.equal(entryRequests(stranger, "us-west").length, 0, "no entries without a token");
      proxy.pointTo(scenario.simulator.baseUrl("us-west"));
      await scenario.allSettled();
      assertOnEveryList(scenario, phones(0, 300));
      assert.deepEqual(await assertOneOutcomeEach(scenario, 300), { delivered: 300 });
      assert.equal(await relay.metric("optout_environment_lane_open", '{environment="us-west"}'), 1);
    } finally {
      await proxy.close();
    }
  });

  test("a secret rotated in its file is used without a restart, whichever is changed first, file or server", async () => {
    await using scenario = await createScenario();
    const secrets = ["first-5ecret", "second-5ecret", "third-5ecret"];
    /** Each takes another secret, and doesn't know the others' tokens. */
    const servers = await Promise.all(
      secrets.map((clientSecret) =>
        createSimulator({
          environments: [{ name: "us-west", clientId: "relay", clientSecret, requestsPerSecond: 10_000 }],
        }),
      ),
    );
    const [first, second, third] = servers;
    assert.ok(first && second && third);
    const proxy = await createProxy(first.baseUrl("us-west"));
    const folder = await mkdtemp(join(tmpdir(), "optout-rotation-"));
    const file = join(folder, "secret");
    const hold = (server: Simulator, count: number) =>
      waitFor(`${count} on the list`, () => server.entries("us-west").length === count);
    try {
      await writeFile(file, "first-5ecret\n");
      const relay = await scenario.startRelay({
        change: (config) => {
          const environment = environmentOf(config, "us-west");
          environment.baseUrl = proxy.baseUrl;
          Object.assign(environment.auth, { clientSecret: `\${file:${file}}` });
        },
      });
      await scenario.produce(optOuts(0, 100));
      await hold(first, 100);

      await replaceFile(file, "second-5ecret\n");
      proxy.pointTo(second.baseUrl("us-west"));
      await scenario.produce(optOuts(100, 200));
      await hold(second, 100);
      assert.deepEqual(warnings(relay), [], "nobody has to know");

      proxy.pointTo(third.baseUrl("us-west"));
      await scenario.produce(optOuts(200, 300));
      await waitFor(
        "the old secret to be refused",
        async () => (await laneOf(relay, "us-west")).closure?.reason === "credentials_refused",
      );
      await replaceFile(file, "third-5ecret\n");
      await hold(third, 100);

      await rm(file);
      third.revokeTokens("us-west");
      await scenario.produce(optOuts(300, 400));
      await hold(third, 200);
      await scenario.allSettled();
      assert.deepEqual(await assertOneOutcomeEach(scenario, 400), { delivered: 400 });
      const [refused, missing, ...others] = warnings(relay);
      assert.equal(refused?.reason, "credentials_refused");
      assert.equal(missing?.key, "environments[1].auth");
      assert.deepEqual(missing?.files, [file]);
      assert.deepEqual(others, []);
      assert.doesNotMatch(relay.stdout() + relay.stderr(), /5ecret/);
    } finally {
      await proxy.close();
      for (const server of servers) await server.close();
      await rm(folder, { recursive: true });
    }
  });

  test("a client without the scope is told which one was asked for, and loses nothing", async () => {
    await using scenario = await createScenario();
    const relay = await scenario.startRelay({
      change: (config) => {
        Object.assign(environmentOf(config, "us-west").auth, { scope: "dnc:read" });
      },
    });
    await scenario.produce(optOuts(0, 100));
    await waitFor(
      "the lane to close",
      async () => (await laneOf(relay, "us-west")).closure?.reason === "misconfigured",
    );
    const [warning] = warnings(relay);
    assert.equal(warning?.scope, "dnc:read");
    assert.equal(warning?.httpStatus, 403);
    assert.match(warning?.msg ?? "", /refuses access.*auth\.scope/);
    await waitFor("the others to have all", () =>
      ["production", "eu-central"].every((name) => listed(scenario, name) === 100),
    );
    assert.equal(await settledEvents(scenario), 0, "never dropped");
    relay.kill("SIGTERM");
    assert.equal((await relay.exit).code, 0);
    await scenario.startRelay();
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 100));
    assertCutOnce(scenario);
  });
});
