import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ConfigInput } from "../../src/config/schema.ts";
import { createSimulator } from "../../src/simulator/index.ts";
import { createProxy } from "../support/proxy.ts";
import { createScenario, optOut, phoneOf, type RelayProcess, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import {
  assertCutOnce,
  assertOnEveryList,
  assertOneBodyPerKey,
  assertOneOutcomeEach,
  entryRequests,
} from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

const optOuts = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => optOut(from + index));
const phones = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => phoneOf(from + index));

/** When each request for entries reached the environment, in milliseconds since the epoch. */
const times = ({ simulator }: Scenario, environment: string): number[] =>
  entryRequests(simulator, environment).map(({ at }) => Date.parse(at));
const answersOf = ({ simulator }: Scenario, environment: string, status: number): number =>
  entryRequests(simulator, environment).filter((request) => request.status === status).length;
const tokenRequests = ({ simulator }: Scenario, environment: string) =>
  simulator.requests(environment).filter(({ kind }) => kind === "token");

const listed = ({ simulator }: Scenario, environment: string): number =>
  simulator.entries(environment).length;
const committedEvents = async (scenario: Scenario): Promise<number> =>
  [...(await scenario.committed()).values()].reduce((sum, { offset }) => sum + Math.max(0, offset), 0);

interface LaneView {
  name: string;
  closure: { reason: string } | null;
}

async function laneOf(relay: RelayProcess, environment: string): Promise<LaneView> {
  const state = (await (await fetch(`${relay.url}/state`)).json()) as { environments: LaneView[] };
  const lane = state.environments.find(({ name }) => name === environment);
  assert.ok(lane, `no lane ${environment}`);
  return lane;
}

const environmentOf = (config: ConfigInput, name: string) => {
  const environment = config.environments.find((each) => each.name === name);
  assert.ok(environment);
  return environment;
};

const warnings = (relay: RelayProcess) => relay.logs().filter(({ level }) => level === "warn");

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
      assert.equal(await committedEvents(scenario), 0, "nothing is settled before the last environment");
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
    const before = times(scenario, "us-west").length;
    await sleep(1_500);
    const probes = times(scenario, "us-west").length - before;
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
      const at = times(scenario, "us-west");
      const [asked = 0, next = 0] = at.slice(refused, refused + 2);
      const allowed = form === "seconds" ? asked + 3_000 : until;
      assert.ok(next >= allowed, `asked again ${allowed - next} ms too early`);
      assert.ok(next <= allowed + 2_500, `asked again only ${next - allowed} ms later`);
      assert.equal(answersOf(scenario, "us-west", 429), 1);
      for (const environment of ["production", "eu-central"]) {
        assert.ok(Math.max(...times(scenario, environment)) < next, `${environment} had to wait`);
      }
      assertOnEveryList(scenario, phones(0, 500));
      assertOneBodyPerKey(scenario);
    });
  }

  test("tokens revoked under load are refreshed once, however many requests are refused", async () => {
    await using scenario = await createScenario({ batching: { maxEntries: 5 } });
    const relay = await scenario.startRelay();
    await scenario.produce(optOuts(0, 50));
    await scenario.allSettled();
    for (const round of [1, 2]) {
      scenario.simulator.revokeTokens("us-west");
      await scenario.produce(optOuts(round * 500, round * 500 + 400));
      await scenario.allSettled();
      assert.equal(tokenRequests(scenario, "us-west").length, 1 + round, `tokens after round ${round}`);
    }
    const refused = answersOf(scenario, "us-west", 401);
    assert.ok(refused > 4, `a storm of ${refused}`);
    assert.equal(tokenRequests(scenario, "production").length, 1);
    assert.equal(
      await relay.metric("optout_token_refreshes_total", '{environment="us-west",outcome="ok"}'),
      3,
    );
    assert.equal(
      await relay.metric("optout_delivery_attempts_total", '{environment="us-west",outcome="unauthorized"}'),
      refused,
    );
    assert.deepEqual(warnings(relay), [], "a refresh is no reason to wake anybody");
    assertOneBodyPerKey(scenario);
    assertOnEveryList(scenario, [...phones(500, 900), ...phones(1_000, 1_400)]);
  });

  test("tokens that live for two seconds are refreshed before they expire", async () => {
    await using scenario = await createScenario({
      environments: ["production"],
      batching: { maxEntries: 1 },
    });
    scenario.simulator.setFaults("production", { tokenTtlSeconds: 2 });
    await scenario.startRelay();
    for (let sent = 0; sent < 60; sent++) {
      await scenario.produce([optOut(sent)]);
      await sleep(80);
    }
    await scenario.allSettled();
    const tokens = tokenRequests(scenario, "production").length;
    assert.ok(tokens >= 3 && tokens <= 12, `${tokens} tokens`);
    assert.equal(answersOf(scenario, "production", 401), 0, "an expired token was used");
    assertOnEveryList(scenario, phones(0, 60));
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
      assert.match(warning?.msg ?? "", /lane closed.*auth\.clientId, auth\.clientSecret, auth\.scope/);
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

  test("a client without the scope is told which one was asked for, and loses nothing", async () => {
    await using scenario = await createScenario();
    const relay = await scenario.startRelay({
      change: (config) => {
        environmentOf(config, "us-west").auth.scope = "dnc:read";
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
    assert.equal(await committedEvents(scenario), 0, "never dropped");
    relay.kill("SIGTERM");
    assert.equal((await relay.exit).code, 0);
    await scenario.startRelay();
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 100));
    assertCutOnce(scenario);
  });

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
    assert.equal(await committedEvents(scenario), 0);
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

  test("two replicas together keep within the quota, use it, and one takes all of it when the other leaves", async () => {
    const rate = 40;
    const scenarioOptions = { environments: ["production"], partitions: 3, requestsPerSecond: rate };
    await using scenario = await createScenario({ ...scenarioOptions, batching: { maxEntries: 1 } });
    scenario.simulator.setFaults("production", { requestsPerSecond: rate });
    const replicas = [await scenario.startRelay(), await scenario.startRelay()] as const;
    const owned = async ({ url }: RelayProcess): Promise<number> =>
      ((await (await fetch(`${url}/state`)).json()) as { partitions: unknown[] }).partitions.length;
    await waitFor("the partitions to be shared", async () => {
      const [first, second] = await Promise.all(replicas.map(owned));
      return first !== undefined && second !== undefined && first + second === 3 && first * second === 2;
    });
    const feed = (from: number, to: number) =>
      scenario.produce(optOuts(from, to).map((message, index) => ({ ...message, partition: index % 3 })));
    await feed(0, 360);
    await scenario.allSettled();
    const shared = times(scenario, "production");
    assertWithin(shared, rate);
    replicas[0].kill("SIGTERM");
    assert.equal((await replicas[0].exit).code, 0);
    await waitFor("the other to own all", async () => (await owned(replicas[1])) === 3);
    await feed(360, 540);
    await scenario.allSettled();
    assertWithin(times(scenario, "production").slice(shared.length), rate);
    assert.equal(answersOf(scenario, "production", 429), 0);
    assertOnEveryList(scenario, phones(0, 540));
    assert.deepEqual(await assertOneOutcomeEach(scenario, 540), { delivered: 540 });
  });
});

const WINDOW_MS = 2_000;

/** No window of two seconds holds more than its share and a quarter; and three quarters of the quota are used. */
function assertWithin(at: readonly number[], rate: number): void {
  for (const from of at) {
    const count = at.filter((time) => time >= from && time < from + WINDOW_MS).length;
    const limit = (rate * WINDOW_MS * 1.25) / 1_000;
    assert.ok(count <= limit, `${count} requests in ${WINDOW_MS} ms, where ${limit} are the limit`);
  }
  const seconds = ((at.at(-1) ?? 0) - (at[0] ?? 0)) / 1_000;
  const used = at.length / seconds / rate;
  assert.ok(used > 0.75 && used < 1.15, `${Math.round(used * 100)} % of the quota used`);
}
