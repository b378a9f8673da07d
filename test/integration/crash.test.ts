import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultsInput } from "../../src/simulator/index.ts";
import {
  asSoonAs,
  assertAllIsWell,
  assertNotAskedAgain,
  eventsInLedgers,
  type Snapshot,
  seededRandom,
  snapshotOf,
  startLoad,
} from "../support/aftermath.ts";
import { endOffsets } from "../support/kafka.ts";
import {
  createScenario,
  optOuts,
  phones,
  type RelayProcess,
  type Scenario,
  type ScenarioOptions,
} from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { entryRequests, rangeOf } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

const DROPS: FaultsInput = { dropAfterApply: true };
/** No answer as long as the test lasts; whoever waits goes on when the faults change. */
const HELD: FaultsInput = { ...DROPS, latencyMs: 60_000 };

/** In every environment, each batch is first applied without an answer. */
async function scenarioWithDrops(options: ScenarioOptions = {}): Promise<Scenario> {
  const scenario = await createScenario({ sessionTimeout: "3s", ...options });
  setFaults(scenario, DROPS);
  return scenario;
}

function setFaults({ simulator, environments }: Scenario, faults: FaultsInput): void {
  for (const name of environments) simulator.setFaults(name, faults);
}

/** Lets the relay get its tokens, which a held environment wouldn't give. Answers how many events that took. */
async function warmUp(scenario: Scenario): Promise<number> {
  const { maxEntries } = scenario.config.batching;
  await scenario.produce(optOuts(0, maxEntries));
  await scenario.allSettled();
  return maxEntries;
}

async function crash(scenario: Scenario, relay: RelayProcess): Promise<Snapshot> {
  relay.kill("SIGKILL");
  await relay.exit;
  return await snapshotOf(scenario);
}

const requestCount = ({ simulator, environments }: Scenario): number =>
  environments.reduce((sum, name) => sum + entryRequests(simulator, name).length, 0);

/** Offsets that the environment has acknowledged. */
function acknowledgedEvents({ simulator }: Scenario, environment: string): number {
  const taken = entryRequests(simulator, environment).filter(({ status }) => status === 201);
  const ranges = [...new Set(taken.flatMap(({ key }) => key ?? []))].map(rangeOf);
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

const endOfStatuses = async ({ admin, config }: Scenario): Promise<number> =>
  [...(await endOffsets(admin, config.topics.status)).values()].reduce((sum, end) => sum + end, 0);

/** Events of one round. */
const ROUND = 40;

/** What there was at the start of a round. */
interface Counts {
  events: number;
  statuses: number;
}

/**
 * Rounds of one batch each, until the process was caught between two steps: it is stopped at `moment`, and killed if
 * `isBetween` tells that the next step hasn't been made. That is asked again when the group has given the process up, for
 * what it had under way may still arrive. Answers how many events there are.
 */
async function crashBetween(
  scenario: Scenario,
  steps: {
    moment(before: Counts): boolean | Promise<boolean>;
    isBetween(before: Counts): Promise<boolean>;
  },
): Promise<{ events: number; atKill: Snapshot }> {
  let relay = await scenario.startRelay();
  for (let round = 0; round < 100; round++) {
    const before = { events: round * ROUND, statuses: await endOfStatuses(scenario) };
    const events = before.events + ROUND;
    await scenario.produce(optOuts(before.events, events));
    await asSoonAs("the moment", () => steps.moment(before));
    relay.kill("SIGSTOP");
    await sleep(100);
    if (await steps.isBetween(before)) {
      relay.kill("SIGKILL");
      await relay.exit;
      await waitFor("the session to expire", () => hasNoMember(scenario));
      if (await steps.isBetween(before)) return { events, atKill: await snapshotOf(scenario) };
      relay = await scenario.startRelay();
    } else {
      relay.kill("SIGCONT");
    }
    await scenario.allSettled();
  }
  throw new Error("the process was never caught between the two steps");
}

async function hasNoMember({ admin, config }: Scenario): Promise<boolean> {
  const { groups } = await admin.describeGroups([config.kafka.groupId]);
  return groups[0]?.state === "Empty";
}

describe("after a kill -9 nothing is lost, cut twice or asked for in vain", { concurrency: 3 }, () => {
  after(releaseStack);

  test("before the seal: the events were consumed, and the ledger holds nothing", async () => {
    await using scenario = await scenarioWithDrops();
    const relay = await scenario.startRelay({
      change: (config) => {
        config.batching = { maxEntries: 1_000, maxWait: "10m" };
      },
    });
    await scenario.produce(optOuts(0, 200));
    await waitFor("all events to be consumed", async () => {
      const counts = await Promise.all(
        [0, 1].map((partition) => relay.metric("optout_events_consumed_total", `{partition="${partition}"}`)),
      );
      return counts[0] !== undefined && counts[1] !== undefined && counts[0] + counts[1] === 200;
    });
    const atKill = await crash(scenario, relay);
    assert.equal(eventsInLedgers(atKill.committed), 0, "events in the ledger at the kill");
    assert.equal(requestCount(scenario), 0, "requests at the kill");
    await scenario.startRelay();
    await scenario.allSettled();
    await assertAllIsWell(scenario, { phones: phones(0, 200), outcomes: { delivered: 200 } });
  });

  test("after the seal: the ledger holds the batches, and no environment has answered", async () => {
    await using scenario = await scenarioWithDrops();
    const relay = await scenario.startRelay();
    const settled = await warmUp(scenario);
    setFaults(scenario, HELD);
    await scenario.produce(optOuts(settled, 200));
    await waitFor("all events to be in the ledger", async () => {
      return eventsInLedgers(await scenario.committed()) === 200 - settled;
    });
    await waitFor("every environment to hold a request", () =>
      scenario.environments.every((name) =>
        entryRequests(scenario.simulator, name).some(({ status }) => status === null),
      ),
    );
    const atKill = await crash(scenario, relay);
    const batches = [...atKill.committed.values()].flatMap(({ ledger }) => ledger);
    assert.ok(
      batches.every(({ acknowledged }) => !acknowledged.includes(true)),
      "no answer at the kill",
    );
    setFaults(scenario, DROPS);
    await scenario.startRelay();
    await scenario.allSettled();
    assertNotAskedAgain(scenario, atKill);
    await assertAllIsWell(scenario, { phones: phones(0, 200), outcomes: { delivered: 200 } });
  });

  test("after the first environment's answer: the others have not given theirs", async () => {
    await using scenario = await scenarioWithDrops();
    const relay = await scenario.startRelay();
    const settled = await warmUp(scenario);
    for (const name of ["us-west", "eu-central"]) scenario.simulator.setFaults(name, HELD);
    await scenario.produce(optOuts(settled, 200));
    await waitFor("production's acknowledgements to be in the ledger", async () => {
      const committed = await scenario.committed();
      const batches = [...committed.values()].flatMap(({ ledger }) => ledger);
      return (
        eventsInLedgers(committed) === 200 - settled && batches.every(({ acknowledged }) => acknowledged[0])
      );
    });
    const atKill = await crash(scenario, relay);
    setFaults(scenario, DROPS);
    await scenario.startRelay();
    await scenario.allSettled();
    assertNotAskedAgain(scenario, atKill);
    const asked = entryRequests(scenario.simulator, "production").length;
    assert.equal(asked, atKill.requests.get("production"), "requests to production");
    await assertAllIsWell(scenario, { phones: phones(0, 200), outcomes: { delivered: 200 } });
  });

  test("after all answers, before the statuses are published", async () => {
    await using scenario = await scenarioWithDrops({ partitions: 1, batching: { maxWait: "50ms" } });
    const { events, atKill } = await crashBetween(scenario, {
      moment: (before) =>
        scenario.environments.every((name) => acknowledgedEvents(scenario, name) === before.events + ROUND),
      isBetween: async (before) => (await endOfStatuses(scenario)) === before.statuses,
    });
    await scenario.startRelay();
    await scenario.allSettled();
    assertNotAskedAgain(scenario, atKill);
    await assertAllIsWell(scenario, { phones: phones(0, events), outcomes: { delivered: events } });
  });

  test("after the statuses, before the offset is committed", async () => {
    await using scenario = await scenarioWithDrops({ partitions: 1, batching: { maxWait: "50ms" } });
    const { events, atKill } = await crashBetween(scenario, {
      moment: async (before) => (await endOfStatuses(scenario)) > before.statuses,
      isBetween: async (before) => {
        const published = (await endOfStatuses(scenario)) === before.statuses + ROUND;
        return published && ((await scenario.committed()).get(0)?.offset ?? -1) <= before.events;
      },
    });
    const published = await endOfStatuses(scenario);
    await scenario.startRelay();
    await scenario.allSettled();
    assertNotAskedAgain(scenario, atKill);
    assert.equal(
      await endOfStatuses(scenario),
      published + ROUND,
      "the batch's statuses are published again",
    );
    await assertAllIsWell(scenario, { phones: phones(0, events), outcomes: { delivered: events } });
  });

  test("in the middle of a split", async () => {
    // Batches are cut by their number of entries alone.
    await using scenario = await scenarioWithDrops({ partitions: 1, batching: { maxWait: "10m" } });
    const { simulator } = scenario;
    const relay = await scenario.startRelay();
    const settled = await warmUp(scenario);
    const all = phones(settled, settled + 50);
    const refused = all.filter((_, index) => [3, 4, 21, 38, 49].includes(index));
    simulator.setFaults("us-west", HELD);
    await scenario.produce(optOuts(settled, settled + 50));
    const batch = await waitFor("the other two's acknowledgements to be in the ledger", async () => {
      const [first] = (await scenario.committed()).get(0)?.ledger ?? [];
      return first?.acknowledged[0] && first.acknowledged[2] && first;
    });
    assert.deepEqual([batch.first, batch.last], [settled, settled + 49]);
    simulator.setFaults("us-west", { ...DROPS, rejectPhones: refused, latencyMs: 10 });
    const before = entryRequests(simulator, "us-west").length;
    await asSoonAs("some parts to be refused and some to be taken", () => {
      const answers = entryRequests(simulator, "us-west").slice(before);
      const count = (wanted: number) => answers.filter(({ status }) => status === wanted).length;
      return count(422) >= 2 && count(201) >= 1;
    });
    const atKill = await crash(scenario, relay);
    assert.equal(eventsInLedgers(atKill.committed), 50, "the batch isn't settled at the kill");
    await scenario.startRelay();
    await scenario.allSettled();
    assertNotAskedAgain(scenario, atKill);
    for (const name of ["production", "eu-central"]) {
      assert.equal(entryRequests(simulator, name).length, atKill.requests.get(name), `requests to ${name}`);
    }
    assertNested(entryRequests(simulator, "us-west").flatMap(({ key }) => key ?? []));
    const taken = all.filter((phone) => !refused.includes(phone));
    await assertAllIsWell(scenario, {
      phones: [...phones(0, settled), ...taken],
      outcomes: { delivered: settled + 45, partially_delivered: 5 },
      splits: true,
    });
    const listed = simulator.entries("us-west").map(({ phone }) => phone);
    assert.deepEqual(listed.sort(), [...phones(0, settled), ...taken].sort());
  });

  test("in the middle of a split, whose cause is gone after it: no entry is taken under a second key", async () => {
    await using scenario = await createScenario({
      partitions: 1,
      batching: { maxWait: "10m" },
      sessionTimeout: "3s",
    });
    const { simulator } = scenario;
    const relay = await scenario.startRelay();
    const settled = await warmUp(scenario);
    simulator.setFaults("us-west", { rejectPhones: phones(settled + 7, settled + 8), latencyMs: 30 });
    await scenario.produce(optOuts(settled, settled + 50));
    const isTaken = ({ key, status }: { key: string | null; status: number | null }): boolean =>
      status === 201 && key !== null && rangeOf(key).first >= settled;
    await asSoonAs("a piece to be taken", () => entryRequests(simulator, "us-west").some(isTaken));
    await crash(scenario, relay);
    simulator.setFaults("us-west", {});
    await scenario.startRelay();
    await scenario.allSettled();
    await assertAllIsWell(scenario, {
      phones: phones(0, settled + 50),
      outcomes: { delivered: settled + 50 },
      splits: true,
    });
    // What was applied under a key, for each of the batch's offsets; the crash may have cut an answer, and its repeat
    // applied nothing.
    const applied = entryRequests(simulator, "us-west").filter(
      ({ key, applied }) => applied && key !== null && rangeOf(key).first >= settled,
    );
    const keys = new Set(applied.map(({ key }) => key ?? ""));
    const covered = [...keys].map(rangeOf).reduce((sum, { first, last }) => sum + last - first + 1, 0);
    assert.ok(keys.size > 1, "the batch was split");
    assert.equal(covered, 50, "offsets in the pieces that were applied");
  });

  test("at random moments under load, eight times", async (context) => {
    await using scenario = await scenarioWithDrops({ partitions: 3 });
    for (const name of scenario.environments) {
      scenario.simulator.setFaults(name, { dropAfterApply: 0.3, errorRate: 0.1, latencyMs: 5, jitterMs: 60 });
    }
    const random = seededRandom(context);
    const load = startLoad(scenario, { events: 60, everyMs: 100 });
    const kills: Snapshot[] = [];
    try {
      for (let kill = 0; kill < 8; kill++) {
        // Every other time while it starts, or soon after; else while it delivers.
        const isAtWork = kill % 2 === 0;
        const before = requestCount(scenario);
        const relay = await scenario.startRelay({ wait: isAtWork });
        if (isAtWork) await asSoonAs("the relay to deliver", () => requestCount(scenario) > before);
        await sleep(random() * 1_500);
        kills.push(await crash(scenario, relay));
      }
    } finally {
      await load.stop();
    }
    const events = await load.stop();
    await scenario.startRelay();
    await scenario.allSettled();
    assert.ok(
      kills.some(({ committed }) => eventsInLedgers(committed) > 0),
      "some kill left batches in the ledger",
    );
    for (const kill of kills) assertNotAskedAgain(scenario, kill);
    await assertAllIsWell(scenario, { phones: phones(0, events), outcomes: { delivered: events } });
  });
});

/** Parts of one batch lie within each other or apart. */
function assertNested(keys: string[]): void {
  const ranges = [...new Set(keys)].map(rangeOf);
  for (const a of ranges) {
    for (const b of ranges) {
      const apart = a.last < b.first || b.last < a.first;
      const within = (a.first >= b.first && a.last <= b.last) || (b.first >= a.first && b.last <= a.last);
      assert.ok(apart || within, `the parts ${a.key} and ${b.key} overlap`);
    }
  }
}
