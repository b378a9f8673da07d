import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { encodeLedger } from "../../src/batching/ledger.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { problemsOf } from "../../src/sizing/describe.ts";
import { ledgerCapacity, type Plan, sizeOf } from "../../src/sizing/sizing.ts";
import { fencesOf } from "../support/doc-steps.ts";
import { finished, runCli } from "../support/process.ts";
import { settled, start, taken } from "./relay-partition-fixture.ts";

const planOf = ({
  batching,
  ...plan
}: Partial<Omit<Plan, "batching">> & { batching?: Partial<Plan["batching"]> }): Plan => ({
  batching: { maxEntries: 50, maxWait: 10_000, maxBytes: 2 ** 20, maxPendingEntries: 50_000, ...batching },
  environments: [{ name: "production", requestsPerSecond: 100, maxEntries: Number.POSITIVE_INFINITY }],
  ...{ eventsPerSecond: 10, partitions: 1, replicas: 1, eventBytes: 200, outageSeconds: 3_600 },
  ...plan,
});

const quotaOf = (requestsPerSecond: number): Pick<Plan, "environments"> => ({
  environments: [{ name: "production", requestsPerSecond, maxEntries: Number.POSITIVE_INFINITY }],
});

/** 0 to 1, the same in every run. */
const randoms = (): (() => number) => {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
};

/**
 * The plan's load in virtual time, as a real partition takes it, events coming at random. Its environment takes requests at
 * its quota, and none before `upAt`. `step` is in milliseconds.
 */
async function run(
  t: TestContext,
  plan: Plan,
  { seconds, upAt = 0, step = 100 }: { seconds: number; upAt?: number; step?: number },
) {
  const { partition, deliveries, offer, pass } = start(t, {
    environments: ["production"],
    limits: plan.batching,
  });
  const quota = plan.environments[0]?.requestsPerSecond ?? 0;
  const random = randoms();
  const gap = (): number => (-Math.log(random()) * 1_000) / plan.eventsPerSecond;
  const arrivals: number[] = [];
  let [arrival, answered, allowance] = [gap(), 0, 0];
  /** Seconds after the start at which a request was answered, and for how long its first event had waited. */
  const requests: { at: number; waited: number }[] = [];
  for (let now = 0; now < seconds * 1_000; now += step) {
    for (; arrival <= now; arrival += gap()) arrivals.push(arrival);
    while (partition.position < arrivals.length && !partition.paused && offer(partition.position));
    partition.snapshot()?.onCommitted();
    allowance = now < upAt * 1_000 ? 0 : Math.min(1, allowance) + (quota * step) / 1_000;
    for (; answered < deliveries.length && allowance >= 1; allowance--) {
      const delivery = deliveries[answered++];
      if (delivery === undefined) break;
      requests.push({ at: now / 1_000, waited: (now - (arrivals[delivery.sealed.first] ?? 0)) / 1_000 });
      delivery.done(taken(delivery.sealed));
    }
    await settled();
    pass(step);
  }
  return requests;
}

const assertNear = (actual: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(actual / expected - 1) <= tolerance, `${actual}, where ${expected} was expected`);

describe("what is worked out for a load is what the relay does with it", () => {
  for (const [environmentCount, eventsPerBatch] of [
    [1, 1],
    [3, 50],
    [3, 65],
    [10, 100],
  ] as const) {
    test(`a ledger with ${environmentCount} environments holds so many batches of ${eventsPerBatch}`, (t) => {
      const environments = Array.from({ length: environmentCount }, (_, index) => `environment-${index}`);
      const limits = {
        maxEntries: eventsPerBatch,
        maxPendingEntries: 1e6,
        maxPendingBytes: 2 ** 40,
        maxBytes: 2 ** 20,
      };
      const { partition, offer } = start(t, { environments, limits });
      while (offer(partition.position));
      const count = partition.sealed.length;
      assert.equal(count, ledgerCapacity(eventsPerBatch, environmentCount));
      // The longest that it can become: all but the first have been acknowledged by all.
      const longest = partition.sealed.map((batch, index) => ({
        ...{ first: batch.first, last: batch.last, digest: batch.digest, settled: index > 0 },
        acknowledged: environments.map(() => index > 0),
      }));
      const { length } = encodeLedger(0, longest, environments);
      assert.ok(length <= 4_096 && length > 4_000, `${length} characters`);
    });
  }

  for (const [what, eventsPerSecond, maxWait] of [
    ["a trickle", 0.2, 5_000],
    ["batches cut by time", 4, 5_000],
    ["full batches", 40, 5_000],
  ] as const) {
    test(`requests and their wait with ${what}`, async (t) => {
      const plan = planOf({ eventsPerSecond, batching: { maxWait } });
      const seconds = Math.max(500, 400 / eventsPerSecond);
      const requests = await run(t, plan, { seconds, step: 250 });
      const { environments, batch } = sizeOf(plan);
      assertNear(requests.length / seconds, environments[0]?.requestsPerSecond ?? 0, 0.1);
      const waited = requests.reduce((sum, each) => sum + each.waited, 0) / requests.length;
      assertNear(waited, batch.waitSeconds, 0.15);
    });
  }

  test("too many batches cut by time for the quota: so late for ever, though full ones would do", async (t) => {
    const plan = planOf({ ...quotaOf(1), eventsPerSecond: 5, batching: { maxWait: 100 } });
    const [environment] = sizeOf(plan).environments;
    assert.equal(environment?.verdict, "late");
    const requests = await run(t, plan, { seconds: 2_000 });
    assertNear(requests.at(-1)?.waited ?? 0, environment?.queueSeconds ?? 0, 0.1);
    const [problem = ""] = problemsOf(sizeOf(plan), plan);
    const maxWait = Number(/maxWait to (\d+)s/.exec(problem)?.[1]) * 1_000;
    assert.equal(
      sizeOf({ ...plan, batching: { ...plan.batching, maxWait } }).environments[0]?.verdict,
      "enough",
    );
  });

  for (const outageSeconds of [300, 3_000]) {
    test(`an outage of ${outageSeconds} s is caught up within the time that was worked out`, async (t) => {
      const plan = planOf({
        ...quotaOf(1),
        outageSeconds,
        batching: { maxWait: 2_000, maxPendingEntries: 20_000 },
      });
      const catchUp = sizeOf(plan).environments[0]?.catchUpSeconds ?? 0;
      const requests = await run(t, plan, { seconds: outageSeconds + catchUp * 1.2, upAt: outageSeconds });
      const caughtUp = requests.find(({ waited }) => waited <= 4)?.at ?? Number.POSITIVE_INFINITY;
      const took = caughtUp - outageSeconds;
      assert.ok(took <= catchUp * 1.1 && took >= catchUp * 0.4, `${took} s, where ${catchUp} s was expected`);
    });
  }
});

describe("a plan", () => {
  test("counts a request for each 100 entries where an API takes no more", () => {
    const environments = [{ name: "production", requestsPerSecond: 100, maxEntries: 100 }];
    const plan = planOf({ environments, eventsPerSecond: 1_000, batching: { maxEntries: 250 } });
    assert.equal(sizeOf(plan).environments[0]?.requestsPerSecond, 12);
  });

  test("knows that a small body holds fewer entries", (t) => {
    const maxBytes = 600;
    const { seals, offerAll } = start(t, { limits: { maxEntries: 50, maxBytes } });
    offerAll(...Array.from({ length: 20 }, (_, offset) => offset));
    const { entries } = sizeOf(planOf({ eventsPerSecond: 1_000, batching: { maxBytes } })).batch;
    assert.equal(seals[0], `0-${entries - 1} bytes`);
  });

  test("names what bounds the pending events of a partition", () => {
    const boundOf = (plan: Parameters<typeof planOf>[0]) => sizeOf(planOf(plan)).partition.bound;
    assert.equal(boundOf({ eventsPerSecond: 100 }), "maxPendingEntries");
    assert.equal(boundOf({ eventsPerSecond: 1_000, partitions: 8 }), "128 MiB");
    assert.equal(boundOf({ eventsPerSecond: 1_000, partitions: 8, replicas: 8 }), "maxPendingEntries");
    assert.equal(boundOf({ eventsPerSecond: 0.1 }), "ledger");
  });

  test("gives the busiest replica its memory and share, and the idle ones away", () => {
    const plan = planOf({ partitions: 6, replicas: 4, eventsPerSecond: 600 });
    assert.deepEqual([sizeOf(plan).replica.partitions, sizeOf(plan).replica.quotaShare], [2, 1 / 3]);
    assert.deepEqual(problemsOf(sizeOf(plan), plan), []);
    assert.match(
      problemsOf(sizeOf(plan), { ...plan, replicas: 8 })[0] ?? "",
      /^2 replicas have nothing to do/,
    );
  });
});

describe("docs/scaling.md", () => {
  const page = readPackageFile("docs/scaling.md");

  test("says what the command prints", async (t) => {
    const fence = (wanted: string) =>
      fencesOf("docs/scaling.md").find(({ language }) => language === wanted)?.text ?? "";
    const folder = mkdtempSync(join(tmpdir(), "optout-sizing-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "relay.yaml");
    writeFileSync(file, fence("yaml"));
    const [, ...args] = fence("sh").trim().replace("npx ", "").replace("relay.yaml", file).split(/\s+/);
    await using cli = runCli(args, { env: { SECRET: "s3cret" } });
    assert.equal(await finished(cli), 0, cli.stderr());
    assert.equal(cli.stdout().trim(), fence("text").trim());
  });

  test("says how many batches a ledger holds", () => {
    const rows = page.split("\n").map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
    const row = (title: string) =>
      rows
        .find(([first]) => first === title)
        ?.slice(1)
        .map(Number) ?? [];
    for (const [title, events] of [
      ["up to 64 events in a batch", 64],
      ["65 and more", 1_000],
    ] as const) {
      const capacities = row("environments").map((count) => ledgerCapacity(events, count));
      assert.equal(capacities.length, 7);
      assert.deepEqual(row(title), capacities);
    }
  });
});

describe("optout-relay size", () => {
  const size = async (...args: string[]) => {
    const env = {
      OPTOUT_KAFKA__BROKERS: "nobody.invalid:9092",
      OPTOUT_ENVIRONMENTS__0__NAME: "production",
      OPTOUT_ENVIRONMENTS__0__BASE_URL: "https://cxone.example.com",
      OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_ID: "relay",
      OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET: "s3cret",
    };
    await using cli = runCli(["size", ...args], { env });
    return { code: await finished(cli), stdout: cli.stdout(), stderr: cli.stderr() };
  };

  test("says what a load takes of the configured quotas, and reaches nothing for it", async () => {
    const { code, stdout, stderr } = await size("--events-per-second", "3000");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^production +60 +100 +60 % +\S/m);
  });

  test("fails if a quota isn't enough, and says so as JSON, too", async () => {
    const { code, stdout } = await size("--events-per-second", "10000", "--json");
    const { environments, problems }: { environments: { verdict: string }[]; problems: string[] } =
      JSON.parse(stdout);
    assert.deepEqual([code, environments[0]?.verdict, problems.length], [1, "behind", 1]);
  });

  for (const args of [[], ["--events-per-second", "0"], ["--events-per-second", "5", "--outage", "8"]]) {
    test(`takes ${args.join(" ") || "nothing"} for wrong usage`, async () => {
      assert.equal((await size(...args)).code, 2);
    });
  }
});
