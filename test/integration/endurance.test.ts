import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Message } from "kafkajs";
import { assertAllIsWell, assertNotAskedAgain, eventsInLedgers, snapshotOf } from "../support/aftermath.ts";
import { endOffsets } from "../support/kafka.ts";
import { createScenario, optOut, phoneOf } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { waitFor } from "../support/wait.ts";

const EVENTS = 20_000;
const CHUNK = 2_000;

/** Every 40th is none that could be delivered, every 25th asks for a number once more. */
function eventOf(index: number): { phone: string | null; message: Message } {
  if (index % 40 === 7) {
    const value = index % 80 === 7 ? '{"phone":"123"}' : null;
    return { phone: null, message: { key: `invalid-${index}`, value } };
  }
  const asked = index % 25 === 3 ? index - 2 : index;
  return { phone: phoneOf(asked), message: optOut(asked, { eventId: `event-${index}` }) };
}

after(releaseStack);

test("20,000 events reach three environments that drop answers, through a kill -9 in the middle", async (context) => {
  await using scenario = await createScenario({
    partitions: 4,
    sessionTimeout: "3s",
    batching: { maxEntries: 100 },
  });
  const { simulator, environments, admin, config } = scenario;
  for (const name of environments) simulator.setFaults(name, { dropAfterApply: 0.05 });
  const events = Array.from({ length: EVENTS }, (_, index) => eventOf(index));
  const wanted = new Set(events.flatMap(({ phone }) => phone ?? []));
  const invalid = events.filter(({ phone }) => phone === null).length;

  const startedAt = performance.now();
  const relay = await scenario.startRelay();
  const produce = async (from: number, to: number) => {
    for (let at = from; at < to; at += CHUNK) {
      await scenario.produce(events.slice(at, at + CHUNK).map(({ message }) => message));
    }
  };
  const produced = produce(0, EVENTS);
  await waitFor("a third of the events to be delivered somewhere", () =>
    environments.some((name) => simulator.entries(name).length > wanted.size / 3),
  );
  relay.kill("SIGKILL");
  await relay.exit;
  const atKill = await snapshotOf(scenario);
  assert.ok(eventsInLedgers(atKill.committed) > 0, "batches under way at the kill");
  await produced;
  await scenario.startRelay();
  await scenario.allSettled();
  context.diagnostic(`delivered after ${Math.round(performance.now() - startedAt)} ms`);

  assertNotAskedAgain(scenario, atKill);
  await assertAllIsWell(scenario, {
    phones: wanted,
    outcomes: { delivered: EVENTS - invalid, rejected: invalid },
  });
  for (const name of environments)
    assert.equal(simulator.entries(name).length, wanted.size, `the list of ${name}`);
  const letters = new Set((await scenario.deadLetters()).map(({ key }) => String(key)));
  assert.equal(letters.size, invalid, "invalid events in the dead-letter topic");
  const committed = await scenario.committed();
  for (const [partition, end] of await endOffsets(admin, config.topics.events)) {
    assert.equal(committed.get(partition)?.offset, end, `committed offset of partition ${partition}`);
    assert.equal(committed.get(partition)?.metadata, "", `ledger of partition ${partition}`);
  }
});
