import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { SCOPE } from "./batching-arbitraries.ts";
import { type Backend, createBackend, randomOf, type Seen } from "./delivery-lane-backend.ts";
import { batchOf, createFixture } from "./delivery-lane-fixture.ts";
import { type Band, Scenario } from "./delivery-lane-scenario.ts";

const FOLDER = "test/data/lane-scenarios";
/** Of the virtual clock; whatever needs no time happens between two steps. */
const STEP_MS = 2;

describe("a lane over a link", () => {
  for (const file of readdirSync(FOLDER).sort()) {
    const scenario = Scenario.parse(JSON.parse(readFileSync(`${FOLDER}/${file}`, "utf8")));
    for (let seed = 1; seed <= scenario.runs; seed++) {
      test(`${scenario.about} (${file}, run ${seed})`, async (t) => {
        const run = await play(t, scenario, seed);
        for (const band of scenario.bands) assertBand(t, scenario, run, band);
        assertRecovery(t, scenario, run);
      });
    }
  }
});

interface Run {
  backend: Backend;
  /** Of each batch, the milliseconds from `deliver` to its first request, or to the end. */
  waits: { partition: number; deliveredAt: number; waited: number }[];
}

/** Runs a real lane over the scenario's link, in virtual time. */
async function play(t: TestContext, scenario: Scenario, seed: number): Promise<Run> {
  const { lane: options, partitions } = scenario;
  const random = randomOf(seed);
  let start = 0;
  const now = () => Date.now() - start;
  let respond: Backend["respond"] = () => Promise.reject(new Error("not yet"));
  let respondToken: Backend["respondToken"] = () => Promise.reject(new Error("not yet"));
  const { lane } = createFixture(t, {
    ...options,
    retry: { initialBackoff: 500, maxBackoff: 60_000 },
    random,
    // Some ten thousand requests in a run; their lines took an eighth of its time, and nobody reads them.
    logLevel: "warn",
    respond: (received) => respond(received),
    respondToken: (nth) => respondToken(nth),
  });
  start = Date.now();
  const backend = createBackend(scenario, now, random);
  respondToken = backend.respondToken;
  const waits: Run["waits"] = [];
  const batches = partitions.map((_, partition) => batchOf(1, { partition, first: partition }));
  const pending = partitions.map((): number[] => []);
  respond = (received) => {
    const answer = backend.respond(received);
    const partition = backend.seen.at(-1)?.partition ?? 0;
    const deliveredAt = pending[partition]?.shift();
    if (deliveredAt !== undefined) waits.push({ partition, deliveredAt, waited: now() - deliveredAt });
    return answer;
  };
  const deliver = (partition: number, done: () => void): void => {
    const batch = batches[partition];
    assert.ok(batch);
    pending[partition]?.push(now());
    lane.deliver({ scope: { ...SCOPE, partition }, batch, split: "pending", onSplit() {}, done });
  };
  partitions.forEach((feed, partition) => {
    if ("everyMs" in feed) {
      const next = () => {
        deliver(partition, () => {});
        setTimeout(next, feed.everyMs);
      };
      next();
    } else {
      const again = () => deliver(partition, again);
      for (let count = 0; count < feed.waiting; count++) again();
    }
  });
  await new Promise<void>((resolve) => {
    const step = () => {
      t.mock.timers.tick(STEP_MS);
      if (now() < scenario.seconds * 1_000) setImmediate(step);
      else resolve();
    };
    step();
  });
  for (const [partition, unsent] of pending.entries()) {
    for (const deliveredAt of unsent) waits.push({ partition, deliveredAt, waited: now() - deliveredAt });
  }
  return { backend, waits };
}

/** Requests that may be taken in the time, by the quotas and the servers. */
function allowed({ lane, link }: Scenario, fromMs: number, toMs: number): number {
  let sum = 0;
  for (const [index, each] of link.entries()) {
    const from = Math.max(fromMs, each.atSecond * 1_000);
    const to = Math.min(toMs, (link[index + 1]?.atSecond ?? Number.POSITIVE_INFINITY) * 1_000);
    const latency = (each.latencyMs + each.jitterMs / 2) / 1_000;
    const capacity =
      Math.min(each.servers ?? Number.POSITIVE_INFINITY, each.atOnce ?? Number.POSITIVE_INFINITY) / latency;
    const rate = Math.min(
      lane.requestsPerSecond * lane.share,
      each.quota ?? Number.POSITIVE_INFINITY,
      capacity,
    );
    const possible = Math.min(rate, lane.maxConcurrency / latency);
    if (to > from && each.outage === undefined) sum += (possible * (to - from)) / 1_000;
  }
  return sum;
}

const isTaken = ({ status }: Seen): boolean => status === 201;

const answeredIn = (seen: readonly Seen[], from: number, to: number): Seen[] =>
  seen.filter(({ answeredAt }) => answeredAt >= from && answeredAt < to);

function peak(seen: readonly Seen[], from: number, to: number): number {
  const edges = seen.flatMap(({ sentAt, answeredAt }) => [
    { at: sentAt, by: 1 },
    { at: answeredAt, by: -1 },
  ]);
  let inFlight = 0;
  let most = 0;
  for (const { at, by } of edges.sort((a, b) => a.at - b.at || a.by - b.by)) {
    inFlight += by;
    if (at >= from && at < to) most = Math.max(most, inFlight);
  }
  return most;
}

function assertBand(t: TestContext, scenario: Scenario, { backend, waits }: Run, band: Band): void {
  const [from, to] = [band.fromSecond * 1_000, band.toSecond * 1_000];
  const answered = answeredIn(backend.seen, from, to);
  const taken = answered.filter(isTaken);
  const latencies = taken.reduce((sum, { sentAt, answeredAt }) => sum + answeredAt - sentAt, 0);
  const waited = waits.filter(
    ({ partition, deliveredAt }) => partition > 0 && deliveredAt >= from && deliveredAt < to,
  );
  const found = {
    used: taken.length / allowed(scenario, from, to),
    throttled: answered.filter(({ status }) => status === 429).length / Math.max(1, answered.length),
    requests: backend.seen.filter(({ sentAt }) => sentAt >= from && sentAt < to).length,
    latencyMs: latencies / Math.max(1, taken.length),
    inFlight: peak(backend.seen, from, to),
    waitMs: Math.max(0, ...waited.map((each) => each.waited)),
  };
  t.diagnostic(`${band.fromSecond} s to ${band.toSecond} s: ${JSON.stringify(rounded(found))}`);
  for (const [name, value] of Object.entries(found)) {
    const expected = bandOf(band, name);
    if (expected === undefined) continue;
    const [least, most] = expected;
    assert.ok(
      value >= least && value <= most,
      `${name} from second ${band.fromSecond} to ${band.toSecond} is ${value}, expected ${least} to ${most}`,
    );
  }
}

const bandOf = (band: Band, name: string): readonly [number, number] | undefined => {
  const value = new Map(Object.entries(band)).get(name);
  return Array.isArray(value) ? value : undefined;
};

const rounded = (values: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value.toPrecision(4))]));

function assertRecovery(t: TestContext, scenario: Scenario, { backend }: Run): void {
  const { recovery, link } = scenario;
  if (recovery === undefined) return;
  const times = backend.seen.filter(isTaken).map(({ answeredAt }) => answeredAt);
  for (const [index, { outage }] of link.entries()) {
    const end = link[index + 1]?.atSecond;
    if (outage === undefined || end === undefined) continue;
    let window = end * 1_000;
    const isBack = () =>
      times.filter((at) => at >= window && at < window + 500).length >=
      recovery.share * allowed(scenario, window, window + 500);
    while (window < scenario.seconds * 1_000 && !isBack()) window += 10;
    const seconds = window / 1_000 + 0.5 - end;
    t.diagnostic(`recovered ${seconds.toFixed(2)} s after second ${end}`);
    assert.ok(seconds <= recovery.withinSeconds, `recovered only ${seconds} s after second ${end}`);
  }
}
