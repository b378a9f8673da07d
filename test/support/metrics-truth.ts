import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { CLOSED_MESSAGES } from "../../src/delivery/circuit.ts";
import { REJECT_REASONS } from "../../src/events/event.ts";
import { VERSION } from "../../src/version.ts";
import { inBackground } from "./background.ts";
import type { Exposition } from "./prometheus.ts";
import type { Committed, RelayProcess, Scenario } from "./scenario.ts";
import { attemptsBy, entryRequests } from "./verify.ts";
import { scrape } from "./views.ts";
import { waitFor } from "./wait.ts";

const PARTITION_GAUGES = [
  "optout_committed_offset",
  "optout_consumer_lag",
  "optout_ledger_used_ratio",
  "optout_partition_paused",
];

/** The partitions that its gauges show; fails unless they show the same ones. */
export function shownPartitions({ families }: Exposition): string[] {
  const [first = [], ...others] = PARTITION_GAUGES.map((name) =>
    (families.get(name)?.samples ?? []).map(({ labels }) => labels.partition ?? "").sort(),
  );
  for (const other of others) assert.deepEqual(other, first);
  return first;
}

/** Of all samples of that name that have these labels, perhaps among others. */
export const total = (
  expositions: readonly Exposition[],
  name: string,
  labels: Record<string, string> = {},
): number =>
  expositions
    .flatMap(({ families }) => [...families.values()].flatMap(({ samples }) => samples))
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0);

/** The product's own, by name and labels; not those of Node, some of which come and go. */
export const ownSamples = ({ families }: Exposition): Record<string, number> =>
  Object.fromEntries(
    [...families]
      .filter(([name]) => name.startsWith("optout_"))
      .flatMap(([, { samples }]) => samples)
      .map(({ name, labels, value }) => [`${name} ${JSON.stringify(Object.entries(labels).sort())}`, value]),
  );

export const series = (exposition: Exposition): string[] => Object.keys(ownSamples(exposition)).sort();

/** The values that each label of the product may have, but for the environments, which are configured, and Kafka's partitions. */
const CLOSED_LISTS: Record<string, readonly string[]> = {
  reason: [...REJECT_REASONS, ...Object.keys(CLOSED_MESSAGES), "paused"],
  trigger: ["entries", "bytes", "events", "time", "ledger"],
  version: [VERSION],
  node: [process.version],
};
const OUTCOMES: Record<string, readonly string[]> = {
  optout_events_completed_total: ["delivered", "rejected", "partially_delivered"],
  optout_offset_commits_total: ["ok", "fenced", "failed"],
  optout_token_refreshes_total: ["ok", "refused", "failed"],
  optout_delivery_attempts_total: [
    ...["acknowledged", "entries", "short", "refused"],
    ...["unauthorized", "misconfigured", "unavailable", "error"],
  ],
};

/** Nothing that came from outside is in a label. */
export function assertClosedLists({ families }: Exposition, environments: readonly string[]): void {
  for (const [family, { samples }] of families) {
    for (const { labels } of family.startsWith("optout_") ? samples : []) {
      for (const [label, value] of Object.entries(labels)) {
        const what = `${family}{${label}="${value}"}`;
        if (label === "partition") assert.match(value, /^\d{1,2}$/, what);
        else if (label === "le") assert.match(value, /^(\d+(\.\d+)?|\+Inf)$/, what);
        else if (label === "environment") assert.ok(environments.includes(value), what);
        else if (label === "outcome") assert.ok(OUTCOMES[family]?.includes(value), what);
        else assert.ok(CLOSED_LISTS[label]?.includes(value), what);
      }
    }
  }
}

/** No counter or bucket has fallen from the one scrape to the other. */
export function assertGrown(before: Exposition, after: Exposition): void {
  const counts = ({ families }: Exposition): Exposition["families"] =>
    new Map([...families].filter(([, { type }]) => type !== "gauge"));
  const later = ownSamples({ ...after, families: counts(after) });
  for (const [id, value] of Object.entries(ownSamples({ ...before, families: counts(before) }))) {
    assert.ok((later[id] ?? -1) >= value, `${id} fell from ${value} to ${later[id]}`);
  }
}

/** Two numbers that something lies between; the same two if it is known. */
export interface Range {
  least: number;
  most: number;
}

export const exactly = (count: number): Range => ({ least: count, most: count });
export const plus = (a: Range, b: Range): Range => ({ least: a.least + b.least, most: a.most + b.most });

function assertWithin(actual: number, { least, most }: Range, what: string): void {
  assert.ok(actual >= least && actual <= most, `${what}: ${actual} isn't within ${least} and ${most}`);
}

/** By partition, what the ledgers hold. */
export type Backlog = Map<number, { events: number; batches: number }>;

export const backlogOf = (committed: Map<number, Committed>): Backlog =>
  new Map(
    [...committed].map(([partition, { ledger }]) => [
      partition,
      {
        events: ledger.reduce((sum, { first, last }) => sum + last - first + 1, 0),
        batches: ledger.length,
      },
    ]),
  );

/** Waits until the ledgers hold so many events, acknowledged by all environments but us-west. */
export const waitForBacklog = (scenario: Scenario, events: number): Promise<Backlog> =>
  waitFor(`${events} events to wait for us-west alone`, async () => {
    const committed = await scenario.committed();
    const batches = [...committed.values()].flatMap(({ ledger }) => ledger);
    const isReady = batches.every(({ acknowledged }) =>
      acknowledged.every((flag, index) => flag === (scenario.environments[index] !== "us-west")),
    );
    const backlog = backlogOf(committed);
    const held = [...backlog.values()].reduce((sum, each) => sum + each.events, 0);
    return isReady && held === events && backlog;
  });

/** How often each partition was taken over, by the relays' own logs. */
export function takeovers(relays: readonly RelayProcess[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { msg, partitions } of relays.flatMap((relay) => relay.logs())) {
    if (msg !== "partitions taken over" || !Array.isArray(partitions)) continue;
    for (const partition of partitions) counts.set(partition, (counts.get(partition) ?? 0) + 1);
  }
  return counts;
}

/**
 * What was read and cut again of a backlog: all of it once, and at most once for each time that its partition was taken
 * over. Known exactly unless the group rebalanced more often than it had to.
 */
export function readAgain(
  backlog: Backlog,
  before: Map<number, number>,
  after: Map<number, number>,
): { events: Range; batches: Range } {
  const range = (read: (each: { events: number; batches: number }) => number): Range =>
    [...backlog].reduce(
      (sum, [partition, each]) => {
        const times = (after.get(partition) ?? 0) - (before.get(partition) ?? 0);
        return plus(sum, { least: read(each), most: read(each) * times });
      },
      { least: 0, most: 0 },
    );
  return { events: range(({ events }) => events), batches: range(({ batches }) => batches) };
}

/**
 * Every request in the environment's log is counted, as what it was answered. Only one that the relay has given up, on a busy
 * machine, may have been answered after that, or have got lost on its way: it is counted as an error.
 */
function assertAttempts(scenario: Scenario, relays: readonly Exposition[], environment: string): void {
  const name = "optout_delivery_attempts_total";
  const { error: _, ...logged } = attemptsBy(scenario, environment);
  const givenUp = total(relays, name, { environment, outcome: "error" });
  let answered = 0;
  for (const [outcome, count] of Object.entries(logged)) {
    const shown = total(relays, name, { environment, outcome });
    assert.ok(shown <= count, `${outcome} at ${environment}: ${shown} counted, ${count} in its log`);
    answered += shown;
  }
  const requests = entryRequests(scenario.simulator, environment).length;
  assert.ok(
    answered + givenUp >= requests,
    `${requests} to ${environment}, ${answered} + ${givenUp} counted`,
  );
  const all = total(relays, name, { environment });
  assert.equal(all, answered + givenUp, "no other outcome");
  assert.equal(total(relays, "optout_delivery_seconds_count", { environment }), all);
}

/**
 * The counters of all relays together against the environments' request logs and the status topic. Every event has a phone
 * of its own, production has been sent every batch, and nothing was split.
 */
export async function assertSums(
  scenario: Scenario,
  relays: readonly Exposition[],
  expected: { consumed: Range; again: { events: Range; batches: Range } },
): Promise<void> {
  const sum = (name: string, labels?: Record<string, string>) => total(relays, name, labels);
  assertWithin(sum("optout_events_consumed_total"), expected.consumed, "events consumed");

  const batches = new Map(
    entryRequests(scenario.simulator, "production").map(({ key, entries }) => [key, entries]),
  );
  const sealedAgain = sum("optout_batches_sealed_total", { trigger: "ledger" });
  const sealed = sum("optout_batches_sealed_total");
  assert.equal(sealed - sealedAgain, batches.size, "batches cut for the first time");
  assertWithin(sealedAgain, expected.again.batches, "batches cut again");
  assert.equal(sum("optout_batch_entries_count"), sealed);
  const entries = [...batches.values()].reduce((all, each) => all + each, 0);
  assertWithin(
    sum("optout_batch_entries_sum") - entries,
    expected.again.events,
    "entries of batches cut again",
  );

  for (const environment of scenario.environments) assertAttempts(scenario, relays, environment);

  // Records, not events: a status that is published again counts again.
  const statuses = await scenario.statuses();
  assert.equal(sum("optout_events_completed_total"), statuses.length, "statuses published");
  const delivered = statuses.filter(({ outcome }) => outcome === "delivered").length;
  assert.equal(sum("optout_events_completed_total", { outcome: "delivered" }), delivered);
  assert.equal(sum("optout_end_to_end_seconds_count"), delivered);
}

/**
 * Looks for partitions that two relays show at once while `loser` gives partitions up to `gainer`. The gainer is asked
 * first: what it shows then, the other must have dropped before. A relay that has ended shows nothing.
 */
export function watchForDoubles(gainer: RelayProcess, loser: RelayProcess) {
  const shown = async (relay: RelayProcess) =>
    relay.running ? shownPartitions(await scrape(relay).catch(() => nothing)) : [];
  return inBackground(async (signal) => {
    const doubles: string[] = [];
    let scrapes = 0;
    while (!signal.aborted) {
      const gained = await shown(gainer);
      const kept = await shown(loser);
      doubles.push(...gained.filter((partition) => kept.includes(partition)));
      scrapes++;
      await sleep(20);
    }
    return { doubles, scrapes };
  });
}

const nothing: Exposition = { families: new Map(), value: () => Number.NaN, sum: () => 0 };
