import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Background, inBackground } from "./background.ts";
import { type Committed, optOuts, type Scenario } from "./scenario.ts";
import {
  assertCutOnce,
  assertOnEveryList,
  assertOneBodyPerKey,
  assertOneOutcomeEach,
  entryRequests,
  rangeOf,
} from "./verify.ts";
import { PATIENCE_MS } from "./wait.ts";

/** What a test knows of a scenario at one moment: the commits, and how many requests each environment had seen. */
export interface Snapshot {
  committed: Map<number, Committed>;
  requests: Map<string, number>;
}

export async function snapshotOf(scenario: Scenario): Promise<Snapshot> {
  const { simulator, environments } = scenario;
  return {
    committed: await scenario.committed(),
    requests: new Map(environments.map((name) => [name, entryRequests(simulator, name).length])),
  };
}

/** Events in sealed batches that aren't settled, by the committed ledgers. */
export const eventsInLedgers = (committed: Map<number, Committed>): number =>
  [...committed.values()]
    .flatMap(({ ledger }) => ledger)
    .reduce((sum, { first, last }) => sum + last - first + 1, 0);

/**
 * Invariant 3: no environment was asked again for what the commits of that moment show as settled, or as acknowledged by
 * it. The process whose commits they are must have ended before.
 */
export function assertNotAskedAgain(
  { simulator, environments }: Scenario,
  { committed, requests }: Snapshot,
): void {
  environments.forEach((name, index) => {
    for (const { key } of entryRequests(simulator, name).slice(requests.get(name))) {
      if (key === null) continue;
      const { partition, first, last } = rangeOf(key);
      const { offset, ledger } = committed.get(partition) ?? { offset: -1, ledger: [] };
      assert.ok(
        first >= offset,
        `${name} was asked for ${key} again, which is behind the committed offset ${offset}`,
      );
      const known = ledger.find((batch) => batch.first <= first && last <= batch.last);
      assert.ok(!known?.acknowledged[index], `${name} was asked for ${key} again, which it had acknowledged`);
    }
  });
}

/** Every event names the batch it went out with, always the same one; and no two of these batches overlap. */
async function assertOneBatchEach(scenario: Scenario): Promise<void> {
  const keys = new Map<string, string>();
  for (const { statusId, idempotencyKey } of await scenario.statuses()) {
    if (idempotencyKey === null) continue;
    assert.equal(keys.get(statusId) ?? idempotencyKey, idempotencyKey, `two batches held ${statusId}`);
    keys.set(statusId, idempotencyKey);
  }
  const ranges = [...new Set(keys.values())].map(rangeOf);
  ranges.sort((a, b) => a.partition - b.partition || a.first - b.first);
  for (const [index, { key, partition, last }] of ranges.entries()) {
    const next = ranges[index + 1];
    if (next?.partition === partition)
      assert.ok(next.first > last, `the batches ${key} and ${next.key} overlap`);
  }
}

/** When all is settled: nothing is lost, nothing is cut twice, every key has one body and every event one outcome. */
export async function assertAllIsWell(
  scenario: Scenario,
  expected: {
    phones: Iterable<string>;
    outcomes: Record<string, number>;
    /** Some environment split batches. */
    splits?: boolean;
  },
): Promise<void> {
  assertOneBodyPerKey(scenario);
  if (!expected.splits) assertCutOnce(scenario);
  await assertOneBatchEach(scenario);
  assertOnEveryList(scenario, expected.phones);
  const events = Object.values(expected.outcomes).reduce((sum, count) => sum + count, 0);
  assert.deepEqual(await assertOneOutcomeEach(scenario, events), expected.outcomes);
}

/** Resolves as soon as possible after `isTrue` has become so; for what must be caught in the act. */
export async function asSoonAs(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms in vain: ${what}`);
    await sleep(1);
  }
}

/** Events. A slow machine would otherwise end with a backlog that takes it minutes. */
const MAX_AHEAD = 5_000;

/**
 * Opt-outs produced at a steady rate, as long as deliveries keep up, from index 0 on, until they are stopped; that resolves
 * with how many there are.
 */
export function startLoad(
  { produce, simulator, environments }: Scenario,
  options: { events: number; everyMs: number },
): Background<number> {
  const [first = ""] = environments;
  return inBackground(async (signal) => {
    let produced = 0;
    while (!signal.aborted) {
      if (produced - simulator.entries(first).length <= MAX_AHEAD) {
        await produce(optOuts(produced, produced + options.events));
        produced += options.events;
      }
      await sleep(options.everyMs);
    }
    return produced;
  });
}

/** Mulberry32. The moments of a failed run can be had again with OPTOUT_TEST_SEED; where they strike can't. */
export function seededRandom(context: TestContext): () => number {
  const seed = Number(process.env.OPTOUT_TEST_SEED ?? randomInt(2 ** 31));
  context.diagnostic(`OPTOUT_TEST_SEED=${seed}`);
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
