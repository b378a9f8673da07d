import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import type { LocalStack } from "../../src/local-stack/local-stack.ts";
import { VERSION } from "../../src/version.ts";
import { commitAs } from "../support/kafka.ts";
import { createScenario, optOuts, phones, type Scenario } from "../support/scenario.ts";
import { startTestStack } from "../support/stack.ts";
import { entryRequests, rangeOf } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

/**
 * What a relay of a release left behind when it was killed: its commit, and what it had sent to production. Never changed
 * once it is there. Five records were settled; the batch of the next five was acknowledged by production alone, and that of
 * the last five by nobody.
 */
interface Sample {
  offset: number;
  metadata: string;
  acknowledged: Sent;
  unacknowledged: Sent;
}
interface Sent {
  key: string;
  sha256: string;
}

const FOLDER = resolve("test/data/takeovers");
/** Part of each key, like the topic's name. */
const CLUSTER_ID = "b3B0b3V0LXVwZ3JhZGVzAA";
const DOWN = { errorRate: 1 };

/** Each request once, however often it was repeated, in the order of the offsets. */
function askedOf({ simulator }: Scenario, environment: string): Sent[] {
  const requests = entryRequests(simulator, environment);
  const byKey = new Map(requests.map(({ key, sha256 }) => [key ?? "", sha256 ?? ""]));
  const sent = [...byKey].map(([key, sha256]) => ({ key, sha256 }));
  return sent.sort((one, other) => rangeOf(one.key).first - rangeOf(other.key).first);
}

describe("a group that is taken over from an earlier release", () => {
  let stack: LocalStack;
  before(async () => {
    stack = await startTestStack({ registry: false, clusterId: CLUSTER_ID });
  });
  after(() => stack?.stop());

  const scenarioOf = (version: string): Promise<Scenario> =>
    createScenario({
      name: `upgrade-${version}`,
      brokers: stack.brokers,
      partitions: 1,
      batching: { maxEntries: 5, maxWait: "1m" },
    });

  /** For a release that has none yet. */
  async function writeSample(version: string): Promise<void> {
    await using scenario = await scenarioOf(version);
    const { simulator, produce, committed } = scenario;
    const relay = await scenario.startRelay();
    const acknowledgedByProduction = async () =>
      (await committed()).get(0)?.ledger.map(({ acknowledged }) => acknowledged[0]);
    await produce(optOuts(0, 5));
    await scenario.allSettled();
    for (const name of ["us-west", "eu-central"]) simulator.setFaults(name, DOWN);
    await produce(optOuts(5, 10));
    await waitFor(
      "production's acknowledgement",
      async () => (await acknowledgedByProduction())?.join() === "true",
    );
    simulator.setFaults("production", DOWN);
    await produce(optOuts(10, 15));
    await waitFor("production to be asked for the last", () => askedOf(scenario, "production").length === 3);
    relay.kill("SIGKILL");
    await relay.exit;
    const { offset, metadata } = (await committed()).get(0) ?? {};
    assert.deepEqual([offset, await acknowledgedByProduction()], [5, [true, false]]);
    const [, acknowledged, unacknowledged] = askedOf(scenario, "production");
    const sample = { offset, metadata, acknowledged, unacknowledged };
    writeFileSync(resolve(FOLDER, `${version}.json`), `${JSON.stringify(sample, null, 2)}\n`);
  }

  test("is there from each release, this one too (OPTOUT_TEST_UPDATE=1 writes what is missing)", async () => {
    if (process.env.OPTOUT_TEST_UPDATE && !existsSync(resolve(FOLDER, `${VERSION}.json`))) {
      await writeSample(VERSION);
    }
    const releases = readdirSync(resolve("test/data/releases"));
    assert.ok(releases.includes(`${VERSION}.json`));
    assert.deepEqual(readdirSync(FOLDER).sort(), releases.sort());
  });

  for (const version of readdirSync(FOLDER).map((name) => name.replace(/\.json$/, ""))) {
    test(`${version}: only what wasn't acknowledged is sent, under the same keys with the same bytes`, async () => {
      const sample: Sample = JSON.parse(readFileSync(resolve(FOLDER, `${version}.json`), "utf8"));
      const { offset, metadata, acknowledged, unacknowledged } = sample;
      await using scenario = await scenarioOf(version);
      const { groupId } = scenario.config.kafka;
      await scenario.produce(optOuts(0, 15));
      await commitAs(scenario.kafka, { groupId, topic: scenario.config.topics.events, offset, metadata });
      const relay = await scenario.startRelay();
      await scenario.allSettled();
      assert.equal(await relay.metric("optout_ledgers_discarded_total"), 0);
      assert.deepEqual(askedOf(scenario, "production"), [unacknowledged]);
      for (const name of ["us-west", "eu-central"]) {
        assert.deepEqual(askedOf(scenario, name), [acknowledged, unacknowledged], name);
      }
      const statuses = await scenario.statuses();
      assert.deepEqual(
        statuses.map(({ phone, outcome }) => `${phone} ${outcome}`).sort(),
        phones(5, 15)
          .map((phone) => `${phone} delivered`)
          .sort(),
      );
    });
  }
});
