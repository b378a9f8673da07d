import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { z } from "zod";
import type { ConfigInput } from "../../src/config/schema.ts";
import { assertAllIsWell, assertNotAskedAgain, snapshotOf, startLoad } from "../support/aftermath.ts";
import { createScenario, optOuts, phones, type RelayProcess, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { entryRequests } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

const PARTITIONS = 6;
/** The relay's own deadline for what is in flight is 10 s; the rest is for the commit, the group and a busy machine. */
const DRAINED_WITHIN_MS = 15_000;

const State = z.object({ phase: z.string(), partitions: z.array(z.object({ partition: z.number() })) });

async function ownedBy(relay: RelayProcess): Promise<number[]> {
  const { phase, partitions } = State.parse(await (await fetch(`${relay.url}/state`)).json());
  return phase === "active" ? partitions.map(({ partition }) => partition) : [];
}

/** No request times out as long as a test lasts. */
function patient(config: ConfigInput): void {
  for (const environment of config.environments ?? []) environment.requestTimeout = "5m";
}

/** Waits until these members own each partition once, each of them some. */
async function waitForOwners(relays: RelayProcess[], timeout?: number): Promise<void> {
  await waitFor(
    `${relays.length} members to share the partitions`,
    async () => {
      const owned = await Promise.all(relays.map(ownedBy));
      const all = owned.flat();
      return (
        owned.every((partitions) => partitions.length > 0) &&
        all.length === PARTITIONS &&
        new Set(all).size === PARTITIONS
      );
    },
    timeout,
  );
}

const answersOf = ({ simulator, environments }: Scenario): number =>
  environments.reduce((sum, name) => {
    return sum + entryRequests(simulator, name).filter(({ status }) => status === 201).length;
  }, 0);

/** Waits until work has gone on under the present owners. */
async function waitForProgress(scenario: Scenario): Promise<void> {
  const before = answersOf(scenario);
  await waitFor("batches to be delivered", () => answersOf(scenario) >= before + 20);
}

/** Ends it with SIGTERM. Answers how many milliseconds that took; fails if it doesn't end well. */
async function terminate(relay: RelayProcess): Promise<number> {
  const startedAt = performance.now();
  relay.kill("SIGTERM");
  await waitFor("it to end", () => !relay.running);
  const { code, signal } = await relay.exit;
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${relay.stdout()}${relay.stderr()}`);
  return performance.now() - startedAt;
}

async function end(relay: RelayProcess): Promise<void> {
  relay.kill("SIGKILL");
  await relay.exit;
}

const isInFlight = ({ simulator }: Scenario, environment: string): boolean =>
  entryRequests(simulator, environment).some(({ status }) => status === null);

describe("members of the group come and go", { concurrency: 2 }, () => {
  after(releaseStack);

  test("two and three members, joining, leaving and killed under load, deliver everything once", async () => {
    await using scenario = await createScenario({ partitions: PARTITIONS, sessionTimeout: "3s" });
    for (const name of scenario.environments) {
      scenario.simulator.setFaults(name, { dropAfterApply: 0.1, latencyMs: 5, jitterMs: 40 });
    }
    const load = startLoad(scenario, { events: 30, everyMs: 100 });
    try {
      const a = await scenario.startRelay();
      const b = await scenario.startRelay();
      await waitForOwners([a, b]);
      await waitForProgress(scenario);
      const c = await scenario.startRelay();
      await waitForOwners([a, b, c]);
      await waitForProgress(scenario);
      await terminate(b);
      await waitForOwners([a, c]);
      await waitForProgress(scenario);
      const d = await scenario.startRelay({ wait: false });
      await end(c);
      await waitForOwners([a, d]);
      await waitForProgress(scenario);
      await end(a);
      const e = await scenario.startRelay();
      await waitForOwners([d, e]);
      await waitForProgress(scenario);
      await terminate(d);
      await waitForOwners([e]);
    } finally {
      await load.stop();
    }
    const events = await load.stop();
    await scenario.allSettled();
    await assertAllIsWell(scenario, { phones: phones(0, events), outcomes: { delivered: events } });
  });

  test("a member that gets SIGTERM hands its partitions over without waiting for its session to expire", async () => {
    await using scenario = await createScenario({ partitions: PARTITIONS, sessionTimeout: "5m" });
    const load = startLoad(scenario, { events: 30, everyMs: 100 });
    try {
      const heir = await scenario.startRelay();
      const leaving = await scenario.startRelay();
      await waitForOwners([heir, leaving]);
      await waitForProgress(scenario);
      assert.ok((await terminate(leaving)) < DRAINED_WITHIN_MS, "ended in time");
      await waitForOwners([heir], 30_000);
    } finally {
      await load.stop();
    }
    const events = await load.stop();
    await scenario.allSettled();
    await assertAllIsWell(scenario, { phones: phones(0, events), outcomes: { delivered: events } });
  });

  test("SIGTERM waits for the answers under way and records them, so that nothing is asked for twice", async () => {
    // On a busy machine neither the session nor a request may time out: both would make repeats.
    await using scenario = await createScenario({ partitions: PARTITIONS, sessionTimeout: "5m" });
    const { simulator, environments } = scenario;
    for (const name of environments) simulator.setFaults(name, { latencyMs: 700, jitterMs: 300 });
    const relay = await scenario.startRelay({ change: patient });
    await scenario.produce(optOuts(0, 600));
    await waitFor("requests to be in flight everywhere", () =>
      environments.every((name) => isInFlight(scenario, name)),
    );
    assert.ok((await terminate(relay)) < DRAINED_WITHIN_MS, "ended in time");
    const answered = answersOf(scenario);
    assert.ok(answered > 0, "answers came");
    await scenario.produce(optOuts(600, 1_200));
    await scenario.startRelay({ change: patient });
    await scenario.allSettled();
    for (const name of environments) {
      const keys = entryRequests(simulator, name).map(({ key }) => key);
      assert.equal(keys.length, new Set(keys).size, `requests and keys at ${name}`);
    }
    await assertAllIsWell(scenario, { phones: phones(0, 1_200), outcomes: { delivered: 1_200 } });
  });

  for (const [what, faults, within] of [
    ["cuts every connection", { outage: true }, 5_000],
    ["answers 503", { outage: "503" }, 5_000],
    ["doesn't answer", { latencyMs: 600_000 }, DRAINED_WITHIN_MS],
  ] as const) {
    test(`SIGTERM ends it in time while an environment ${what}, and keeps what the others answered`, async () => {
      await using scenario = await createScenario({ partitions: PARTITIONS });
      const { simulator } = scenario;
      const relay = await scenario.startRelay({ change: patient });
      await scenario.produce(optOuts(0, 300));
      await scenario.allSettled();
      simulator.setFaults("us-west", faults);
      await scenario.produce(optOuts(300, 600));
      for (const name of ["production", "eu-central"]) {
        await waitFor(`all events at ${name}`, () => simulator.entries(name).length === 600);
      }
      const took = await terminate(relay);
      assert.ok(took < within, `ended after ${took} ms`);
      const atEnd = await snapshotOf(scenario);
      simulator.setFaults("us-west", {});
      await scenario.startRelay();
      await scenario.allSettled();
      assertNotAskedAgain(scenario, atEnd);
      for (const name of ["production", "eu-central"]) {
        assert.equal(entryRequests(simulator, name).length, atEnd.requests.get(name), `requests to ${name}`);
      }
      await assertAllIsWell(scenario, { phones: phones(0, 600), outcomes: { delivered: 600 } });
    });
  }

  test("a second SIGTERM ends it at once, and nothing is lost by that", async () => {
    await using scenario = await createScenario({ partitions: PARTITIONS, sessionTimeout: "3s" });
    const { simulator } = scenario;
    const relay = await scenario.startRelay({ change: patient });
    await scenario.produce(optOuts(0, 300));
    await scenario.allSettled();
    simulator.setFaults("us-west", { latencyMs: 600_000 });
    await scenario.produce(optOuts(300, 600));
    await waitFor("a request in flight", () => isInFlight(scenario, "us-west"));
    relay.kill("SIGTERM");
    await waitFor("it to be stopping", () => relay.logs().some(({ msg }) => msg === "stopping"));
    assert.ok(relay.running, "it waits for the answer");
    const startedAt = performance.now();
    relay.kill("SIGTERM");
    await waitFor("it to end", () => !relay.running);
    assert.ok(performance.now() - startedAt < 2_000, "it ended at once");
    assert.deepEqual(await relay.exit, { code: null, signal: "SIGTERM" });
    simulator.setFaults("us-west", {});
    await scenario.startRelay();
    await scenario.allSettled();
    await assertAllIsWell(scenario, { phones: phones(0, 600), outcomes: { delivered: 600 } });
  });
});
