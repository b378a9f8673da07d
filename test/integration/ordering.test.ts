import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { Message } from "kafkajs";
import { assertNotAskedAgain, snapshotOf } from "../support/aftermath.ts";
import { createScenario, phoneOf, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import {
  assertCutOnce,
  assertOneBodyPerKey,
  assertOneOutcomeEach,
  entryRequests,
} from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

/** Its list keeps the stronger of two entries; the list of the other holds the last one. */
const KEEPS = "keeps";
const REPLACES = "replaces";

/** How long an opt-out lasts; for good if null. */
type Until = string | null;

const OVER = "2020-01-01T00:00:00Z";
const EARLY = "2031-01-01T00:00:00Z";
const LATE = "2032-01-01T00:00:00Z";

/** What is asked for each phone, in turn, and what must be on the two lists in the end. */
const COURSES: { about: string; asked: Until[]; keeps: Until; replaces: Until }[] = [
  { about: "twice for good", asked: [null, null], keeps: null, replaces: null },
  { about: "until a date, then for good", asked: [EARLY, null], keeps: null, replaces: null },
  { about: "until a date, then until a later one", asked: [EARLY, LATE], keeps: LATE, replaces: LATE },
  { about: "again after expiry", asked: [OVER, LATE], keeps: LATE, replaces: LATE },
  { about: "for good after expiry", asked: [OVER, null], keeps: null, replaces: null },
  { about: "three times, at last for good", asked: [LATE, EARLY, null], keeps: null, replaces: null },
  // What becomes of a weaker wish is up to the environment; the relay sees to it that it hears of it last.
  { about: "for good, then until a date", asked: [null, EARLY], keeps: null, replaces: EARLY },
];

const PHONES_PER_COURSE = 12;
const ROUNDS = Math.max(...COURSES.map(({ asked }) => asked.length));
const courseOf = (index: number) => COURSES[index % COURSES.length] ?? { asked: [], about: "" };
const indices = Array.from({ length: COURSES.length * PHONES_PER_COURSE }, (_, index) => index);

/** Two sources in turns. */
const wish = (index: number, expiresAt: Until, round = 0): Message => ({
  key: phoneOf(index),
  value: JSON.stringify({ phone: phoneOf(index), source: round % 2 === 0 ? "web" : "ivr", expiresAt }),
});

const roundOf = (round: number): Message[] =>
  indices.flatMap((index) => {
    const expiresAt = courseOf(index).asked[round];
    return expiresAt === undefined ? [] : [wish(index, expiresAt, round)];
  });

const listOf = ({ simulator }: Scenario, environment: string): Map<string, Until> =>
  new Map(simulator.entries(environment).map(({ phone, expirationDate }) => [phone, expirationDate]));

async function scenarioOfTwo(partitions: number): Promise<Scenario> {
  const scenario = await createScenario({
    partitions,
    environments: [KEEPS, REPLACES],
    sessionTimeout: "3s",
    batching: { maxEntries: 5, maxWait: "50ms" },
  });
  // Late, lost before and after they were taken: whatever could change their order.
  const trouble = { jitterMs: 60, errorRate: 0.25, dropAfterApply: 0.25 };
  scenario.simulator.setFaults(KEEPS, trouble);
  scenario.simulator.setFaults(REPLACES, { ...trouble, duplicates: "last" });
  return scenario;
}

const settledRequests = ({ simulator }: Scenario): number =>
  entryRequests(simulator, REPLACES).filter(({ status }) => status === 201).length;

describe("the same phone opted out more than once ends right on every list", { concurrency: 2 }, () => {
  after(releaseStack);

  test("whatever came before, through failures and two kills", async () => {
    await using scenario = await scenarioOfTwo(2);
    let relay = await scenario.startRelay();
    const rounds = Array.from({ length: ROUNDS }, (_, round) => roundOf(round));
    for (const messages of rounds) await scenario.produce(messages);
    for (const count of [8, 20]) {
      await waitFor(`${count} batches to be taken`, () => settledRequests(scenario) >= count);
      relay.kill("SIGKILL");
      await relay.exit;
      const atKill = await snapshotOf(scenario);
      relay = await scenario.startRelay();
      await waitFor("a batch to be taken", () => settledRequests(scenario) > count);
      assertNotAskedAgain(scenario, atKill);
    }
    await scenario.allSettled();

    const lists = { keeps: listOf(scenario, KEEPS), replaces: listOf(scenario, REPLACES) };
    for (const { about, keeps, replaces } of COURSES) {
      const phones = indices.filter((index) => courseOf(index).about === about).map(phoneOf);
      const both = phones.map((phone) => [lists.keeps.get(phone), lists.replaces.get(phone)]);
      assert.deepEqual(
        both,
        phones.map(() => [keeps, replaces]),
        about,
      );
    }
    assertOneBodyPerKey(scenario);
    assertCutOnce(scenario);
    const events = rounds.flat().length;
    assert.deepEqual(await assertOneOutcomeEach(scenario, events), { delivered: events });
  });

  test("from two sources at the same time: the stronger wish within a batch, on every kind of list", async () => {
    await using scenario = await scenarioOfTwo(1);
    const messages = indices.slice(0, 10).flatMap((index) => {
      const both = [wish(index, null, 0), wish(index, EARLY, 1)];
      return index % 2 === 0 ? both : both.reverse();
    });
    await scenario.produce(messages);
    await scenario.startRelay({
      change: (config) => {
        config.batching = { maxEntries: 50, maxWait: "1s" };
      },
    });
    await scenario.allSettled();
    for (const environment of scenario.environments)
      assert.deepEqual(
        listOf(scenario, environment),
        new Map(indices.slice(0, 10).map((index) => [phoneOf(index), null])),
      );
    assert.deepEqual(await assertOneOutcomeEach(scenario, 20), { delivered: 20 });
  });

  test("in two partitions, for producers that don't key by phone: the stronger one where lists keep it", async () => {
    await using scenario = await scenarioOfTwo(2);
    const phones = indices.slice(0, 40);
    await scenario.startRelay();
    await scenario.produce(
      phones.flatMap((index) => [
        { ...wish(index, EARLY, 0), partition: index % 2 },
        { ...wish(index, null, 1), partition: 1 - (index % 2) },
      ]),
    );
    await scenario.allSettled();
    assert.deepEqual(
      [...listOf(scenario, KEEPS)].sort(),
      phones.map((index) => [phoneOf(index), null]).sort(),
    );
    assert.equal(listOf(scenario, REPLACES).size, phones.length);
    assert.deepEqual(await assertOneOutcomeEach(scenario, 80), { delivered: 80 });
  });
});
