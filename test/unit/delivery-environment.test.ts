import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Batch } from "../../src/batching/batch.ts";
import type { AnyEnvironment } from "../../src/delivery/dialects/dialect.ts";
import { createEnvironment, type Environment } from "../../src/delivery/environment.ts";
import type { AttemptOutcome, PartOutcome } from "../../src/delivery/lane.ts";
import type { TokenOutcome } from "../../src/delivery/token-source.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { createSimulator, type FaultsInput, type Simulator } from "../../src/simulator/index.ts";
import { SCOPE } from "./batching-arbitraries.ts";
import { COMMON } from "./delivery-dialect-fixture.ts";
import { acceptance, batchOf } from "./delivery-lane-fixture.ts";

const NAME = "production";

const start = async (t: TestContext, faults: FaultsInput = {}, config: Partial<AnyEnvironment> = {}) => {
  const simulator: Simulator = await createSimulator({
    environments: [{ name: NAME, requestsPerSecond: 2_000 }],
  });
  t.after(() => simulator.close());
  simulator.setFaults(NAME, faults);
  const attempts: AttemptOutcome[] = [];
  const refreshes: TokenOutcome[] = [];
  const environment: Environment = createEnvironment({
    config: {
      name: NAME,
      baseUrl: simulator.baseUrl(NAME),
      dialect: "compliance-dnc",
      auth: { clientId: "relay", clientSecret: "s3cret", scope: "dnc:write" },
      requestsPerSecond: 1_000,
      maxConcurrency: 8,
      requestTimeout: 5_000,
      retry: { initialBackoff: 5, maxBackoff: 50 },
      ...config,
    },
    events: {
      onAttempt: (outcome) => attempts.push(outcome),
      onRateWait() {},
      onDefect: assert.fail,
      onTokenRefresh: (outcome) => refreshes.push(outcome),
    },
    logger: silentLogger(),
    maySend: () => true,
  });
  t.after(() => environment.close());
  environment.lane.setShare(1);
  const deliver = (batch: Batch): Promise<PartOutcome[]> =>
    new Promise((done) => {
      const onSplit = (_: unknown, recorded?: () => void) => recorded?.();
      environment.lane.deliver({ scope: SCOPE, batch, split: "pending", onSplit, done });
    });
  return { simulator, environment, deliver, attempts, refreshes };
};

const phonesOnList = (simulator: Simulator): string[] =>
  simulator
    .entries(NAME)
    .map(({ phone }) => phone)
    .sort();

/** No key ever came with two bodies. */
const assertOneBodyPerKey = (simulator: Simulator): void => assert.deepEqual(simulator.violations(NAME), []);

describe("environment over real HTTP", () => {
  test("batches end on the list, with one token and one request each", async (t) => {
    const { simulator, deliver, attempts, refreshes } = await start(t);
    const batches = Array.from({ length: 20 }, (_, index) => batchOf(10, { first: index * 10 }));
    const outcomes = await Promise.all(batches.map(deliver));
    for (const [index, batch] of batches.entries()) {
      assert.ok(acceptance(batch, outcomes[index]).every(Boolean));
      assert.ok((outcomes[index]?.[0]?.requestId ?? "").length > 0);
    }
    assert.deepEqual(
      phonesOnList(simulator),
      batches.flatMap(({ entries }) => entries.map(({ phone }) => phone)).sort(),
    );
    assert.equal(attempts.length, 20);
    assert.deepEqual(refreshes, ["ok"]);
    assertOneBodyPerKey(simulator);
  });

  test("connections cut after the batch was applied, and errors: everything is listed once, under one key", async (t) => {
    const { simulator, deliver, attempts } = await start(t, { dropAfterApply: 0.3, errorRate: 0.2 });
    const batches = Array.from({ length: 40 }, (_, index) => batchOf(5, { first: index * 5 }));
    const outcomes = await Promise.all(batches.map(deliver));
    for (const [index, batch] of batches.entries())
      assert.ok(acceptance(batch, outcomes[index]).every(Boolean));
    assert.equal(phonesOnList(simulator).length, 200);
    assert.ok(attempts.length > 40, "some were sent again");
    assertOneBodyPerKey(simulator);
  });

  test("an entry that the environment refuses is found, and the others are delivered", async (t) => {
    const batch = batchOf(50);
    const bad = batch.entries[33]?.phone ?? "";
    const { simulator, deliver } = await start(t, { rejectPhones: [bad] });
    const outcomes = await deliver(batch);
    assert.deepEqual(
      acceptance(batch, outcomes),
      batch.entries.map((_, index) => index !== 33),
    );
    assert.equal(phonesOnList(simulator).length, 49);
    assert.ok(!phonesOnList(simulator).includes(bad));
    assertOneBodyPerKey(simulator);
  });

  test("tokens that are revoked in the middle are replaced", async (t) => {
    const { simulator, deliver, refreshes } = await start(t);
    await deliver(batchOf(1));
    simulator.revokeTokens(NAME);
    const more = await Promise.all([1, 2, 3].map((first) => deliver(batchOf(1, { first }))));
    assert.ok(more.every((outcomes) => outcomes[0]?.accepted));
    assert.deepEqual(refreshes, ["ok", "ok"]);
  });

  test("a quota below the configured rate is met with waiting, and everything is delivered", async (t) => {
    const { simulator, deliver } = await start(t, { requestsPerSecond: 5 });
    const batches = Array.from({ length: 15 }, (_, index) => batchOf(2, { first: index * 2 }));
    const outcomes = await Promise.all(batches.map(deliver));
    assert.ok(outcomes.every((parts) => parts.every(({ accepted }) => accepted)));
    const statuses = simulator.requests(NAME).map(({ status }) => status);
    assert.ok(statuses.includes(429));
    assert.equal(phonesOnList(simulator).length, 30);
  });

  test("close ends what is under way without a word", async (t) => {
    const { environment, simulator, deliver } = await start(t, { latencyMs: 60_000 });
    let isDone = false;
    void deliver(batchOf(1)).then(() => {
      isDone = true;
    });
    await new Promise<void>((resolve) => {
      const look = () => (environment.lane.state().inFlight > 0 ? resolve() : setImmediate(look));
      look();
    });
    await environment.close();
    assert.equal(isDone, false);
    assert.deepEqual(phonesOnList(simulator), []);
    assert.equal(environment.lane.state().queued, 0);
  });

  test("a dialect that there isn't is an error that names those there are", () => {
    const { name, config, events } = {
      ...{
        name: NAME,
        events: { onAttempt() {}, onRateWait() {}, onDefect: assert.fail, onTokenRefresh() {} },
      },
      config: { ...COMMON, baseUrl: "http://127.0.0.1", dialect: "fax", auth: {} },
    };
    assert.throws(() => createEnvironment({ config, events, logger: silentLogger(), maySend: () => true }), {
      code: "configuration",
      message: `The environment ${name} has the dialect "fax", which is none of: compliance-dnc, admin-dnc-groups.`,
    });
  });
});

describe("environment of the dialect admin-dnc-groups over real HTTP", () => {
  const admin = {
    dialect: "admin-dnc-groups",
    tenantId: "t-1",
    apiVersion: 30,
    groupId: 42,
    numberForms: {},
  };
  const accessKey = { accessKeyId: "key", accessKeySecret: "s3cret" };
  const client = { clientId: "relay", clientSecret: "s3cret" };

  for (const [what, auth] of [
    ["an access key", accessKey],
    ["an access key and a client", { ...accessKey, ...client }],
  ] as const) {
    test(`batches end on the list, in requests of at most 100, with ${what}`, async (t) => {
      const { simulator, deliver, attempts, refreshes } = await start(t, {}, { ...admin, auth });
      const batch = batchOf(250);
      assert.ok(acceptance(batch, await deliver(batch)).every(Boolean));
      assert.deepEqual(phonesOnList(simulator), batch.entries.map(({ phone }) => phone).sort());
      assert.deepEqual(attempts, ["acknowledged", "acknowledged", "acknowledged"]);
      assert.deepEqual(refreshes, ["ok"]);
      assertOneBodyPerKey(simulator);
    });
  }

  test("a record that the API refuses is rejected after a second try by itself, the others are taken at once", async (t) => {
    const batch = batchOf(50);
    const bad = batch.entries[33]?.phone ?? "";
    const { simulator, deliver } = await start(t, { rejectPhones: [bad] }, { ...admin, auth: accessKey });
    const outcomes = await deliver(batch);
    assert.deepEqual(
      acceptance(batch, outcomes),
      batch.entries.map((_, index) => index !== 33),
    );
    assert.equal(
      outcomes.find(({ accepted }) => !accepted)?.detail,
      "the API didn't add this number to the group",
    );
    assert.equal(phonesOnList(simulator).length, 49);
    assertOneBodyPerKey(simulator);
  });
});
