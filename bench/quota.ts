/**
 * How much of an environment's quota is used while there is a backlog: by one replica and by three, in a steady state and
 * after an outage. The simulator's request log is the ground truth.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { ConfigInput } from "../src/config/schema.ts";
import { createScenario, optOuts, type RelayProcess, type Scenario } from "../test/support/scenario.ts";
import { entryRequests } from "../test/support/verify.ts";
import { stateOf } from "../test/support/views.ts";
import { waitFor } from "../test/support/wait.ts";
import { type Measurement, percent, say } from "./report.ts";

const RATE = 100;
const PARTITIONS = 6;
const STEADY_MS = 15_000;
const OUTAGE_MS = 5_000;
/** Kept well ahead of what the quota lets out: entries, in batches of one. */
const BACKLOG = 6_000;

interface Window {
  from: number;
  to: number;
}

/** Of the requests that came within the window: the share of the quota that was taken, and the share of answers 429. */
function usage({ simulator }: Scenario, environment: string, { from, to }: Window) {
  const within = entryRequests(simulator, environment).filter(({ at }) => {
    const time = Date.parse(at);
    return time >= from && time < to;
  });
  const taken = within.filter(({ status }) => status === 201).length;
  const refused = within.filter(({ status }) => status === 429).length;
  return {
    used: taken / ((RATE * (to - from)) / 1_000),
    refused: within.length === 0 ? 0 : refused / within.length,
  };
}

async function startReplicas(scenario: Scenario, count: number): Promise<RelayProcess[]> {
  const relays: RelayProcess[] = [];
  for (let index = 0; index < count; index++) relays.push(await scenario.startRelay({ change: plain }));
  await waitFor("every replica to own its share", async () => {
    const states = await Promise.all(relays.map(stateOf));
    return states.every(({ partitions }) => partitions.length === PARTITIONS / count);
  });
  return relays;
}

/** The defaults that users have, where the tests' are hastier. */
function plain(config: ConfigInput): void {
  for (const environment of config.environments) delete environment.retry;
}

export async function measureQuota(replicas: number): Promise<Measurement[]> {
  const name = `${replicas} ${replicas === 1 ? "replica" : "replicas"}`;
  say(`quota, ${name}: ${RATE} requests/s and 100 ms latency in each of three environments`);
  await using scenario = await createScenario({
    partitions: PARTITIONS,
    requestsPerSecond: RATE,
    batching: { maxEntries: 1 },
  });
  const { simulator, environments } = scenario;
  const setFaults = (more: object) => {
    for (const each of environments) {
      simulator.setFaults(each, { requestsPerSecond: RATE, latencyMs: 100, ...more });
    }
  };
  setFaults({});
  await scenario.produce(
    optOuts(0, BACKLOG).map((message, index) => ({ ...message, partition: index % PARTITIONS })),
  );
  await startReplicas(scenario, replicas);
  const worst = (of: (environment: string) => number, pick: (...values: number[]) => number): number =>
    pick(...environments.map(of));

  // The burst that a full bucket allows at the start is over.
  await sleep(3_000);
  const steady = { from: Date.now(), to: Date.now() + STEADY_MS };
  await sleep(STEADY_MS);
  const used = worst((each) => usage(scenario, each, steady).used, Math.min);
  const refused = worst((each) => usage(scenario, each, steady).refused, Math.max);

  setFaults({ outage: true });
  await sleep(OUTAGE_MS);
  setFaults({});
  const end = Date.now();
  await sleep(4_500);
  // The end of the first of three half seconds in a row that are well used; the answers have come by now.
  const isWellUsed = (each: string, from: number): boolean =>
    usage(scenario, each, { from, to: from + 500 }).used >= 0.9;
  const recovered = worst((each) => {
    for (let after = 0; after <= 1_900; after += 50) {
      if ([0, 500, 1_000].every((more) => isWellUsed(each, end + after + more))) return (after + 500) / 1_000;
    }
    return Number.POSITIVE_INFINITY;
  }, Math.max);
  if (backlogOf(scenario) <= 0) throw new Error("the backlog ran out; the measurement says nothing");
  return [
    { what: `quota used, ${name}`, measured: percent(used), bar: "at least 95 %", met: used >= 0.95 },
    { what: `answers 429, ${name}`, measured: percent(refused), bar: "under 0.5 %", met: refused < 0.005 },
    {
      what: `90 % of the quota again after an outage's end, ${name}`,
      measured: `${recovered.toFixed(2)} s`,
      bar: "within 2 s",
      met: recovered <= 2,
    },
  ];
}

/** Entries that every environment still lacks. */
function backlogOf({ simulator, environments }: Scenario): number {
  return BACKLOG - Math.max(...environments.map((each) => simulator.entries(each).length));
}
