import assert from "node:assert/strict";
import type { Simulator } from "../../src/simulator/index.ts";
import type { Scenario } from "./scenario.ts";

export interface Range {
  key: string;
  partition: number;
  first: number;
  last: number;
}

export function rangeOf(key: string): Range {
  const match = /:(\d+):(\d+)-(\d+):[0-9a-f]{16}$/.exec(key);
  assert.ok(match, `"${key}" isn't an idempotency key of the contract`);
  return { key, partition: Number(match[1]), first: Number(match[2]), last: Number(match[3]) };
}

export const entryRequests = (simulator: Simulator, environment: string) =>
  simulator.requests(environment).filter(({ kind }) => kind === "entries");

/** What the environment's own log says came of the requests, in the words of the metric. Without short answers. */
export function attemptsBy({ simulator }: Scenario, environment: string): Record<string, number> {
  const counts = { acknowledged: 0, refused: 0, unauthorized: 0, unavailable: 0, error: 0 };
  for (const { status } of entryRequests(simulator, environment)) {
    if (status === 201) counts.acknowledged++;
    else if (status === 422) counts.refused++;
    else if (status === 401) counts.unauthorized++;
    else if (status === 0) counts.error++;
    else counts.unavailable++;
  }
  return counts;
}

/** Invariant 4, from the outside: one key, one body, in every environment and over all of them. */
export function assertOneBodyPerKey({ simulator, environments }: Scenario): void {
  const bodies = new Map<string, string>();
  for (const environment of environments) {
    assert.deepEqual(simulator.violations(environment), [], `keys with two bodies at ${environment}`);
    for (const { key, sha256 } of entryRequests(simulator, environment)) {
      if (key === null || sha256 === null) continue;
      assert.equal(bodies.get(key) ?? sha256, sha256, `two bodies for ${key}`);
      bodies.set(key, sha256);
    }
  }
}

/** No offset was ever sent in two different batches, whatever crashed between. Only for runs without splits. */
export function assertCutOnce({ simulator, environments }: Scenario): void {
  const keys = new Set(
    environments.flatMap((name) => entryRequests(simulator, name).flatMap(({ key }) => key ?? [])),
  );
  const ranges = [...keys].map(rangeOf).sort((a, b) => a.partition - b.partition || a.first - b.first);
  for (const [index, range] of ranges.entries()) {
    const next = ranges[index + 1];
    if (next === undefined || next.partition !== range.partition) continue;
    assert.ok(next.first > range.last, `${range.key} and ${next.key} overlap: the range was cut twice`);
  }
}

/** Every one of these phones is on every environment's list. */
export function assertOnEveryList({ simulator, environments }: Scenario, phones: Iterable<string>): void {
  const wanted = new Set(phones);
  for (const environment of environments) {
    const listed = new Set(simulator.entries(environment).map(({ phone }) => phone));
    const missing = [...wanted].filter((phone) => !listed.has(phone));
    assert.equal(
      missing.length,
      0,
      `${missing.length} of ${wanted.size} phones aren't on the list of ${environment}`,
    );
  }
}

/**
 * Invariant 8: every offset has a status, and all statuses of one `statusId` agree on the outcome. Answers how many
 * events ended with each outcome.
 */
export async function assertOneOutcomeEach(
  scenario: Scenario,
  expectedEvents: number,
): Promise<Record<string, number>> {
  const outcomes = new Map<string, string>();
  for (const { statusId, outcome } of await scenario.statuses()) {
    assert.equal(outcomes.get(statusId) ?? outcome, outcome, `two outcomes for ${statusId}`);
    outcomes.set(statusId, outcome);
  }
  assert.equal(outcomes.size, expectedEvents, "events with an outcome");
  const counts: Record<string, number> = {};
  for (const outcome of outcomes.values()) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}
