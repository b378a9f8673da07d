import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { judgeQuotas } from "../../src/check/quota.ts";
import { parseConfig } from "../../src/config/load.ts";
import type { ConfigInput } from "../../src/config/schema.ts";
import { sizedEnvironments } from "../../src/sizing/environments.ts";
import { lateLoads, sizeOf } from "../../src/sizing/sizing.ts";

interface Case {
  partitions?: number;
  quota?: number;
  batching?: ConfigInput["batching"];
  environment?: object;
}

const configOf = ({ quota = 2, batching = { maxWait: "1s" }, environment = {} }: Case) =>
  parseConfig({
    kafka: { brokers: ["localhost:9092"] },
    batching,
    environments: [
      {
        ...{ name: "production", requestsPerSecond: quota, baseUrl: "https://cxone.example.com" },
        auth: { clientId: "relay", clientSecret: "s3cret" },
        ...environment,
      },
    ],
  });

const judge = (given: Case) => judgeQuotas(configOf(given), given.partitions ?? 24);

const planOf = (given: Case) => {
  const { batching, environments } = configOf(given);
  return {
    ...{ batching, partitions: given.partitions ?? 24, environments: sizedEnvironments(environments) },
    ...{ replicas: 1, eventBytes: 200, outageSeconds: 0 },
  };
};

describe("the quota of an environment", () => {
  test("that batches cut by time may exceed is warned of, with the loads, the delay and a maxWait that will do", () => {
    const [found, ...others] = judge({ partitions: 6 });
    assert.deepEqual(others, []);
    assert.deepEqual(found, {
      ...{ check: "quota", result: "warning" },
      detail:
        "6 partitions and a batching.maxWait of 1s make up to 6 requests/s, and production takes 2: " +
        "under a steady load of 3 to 100 opt-outs/s, all are up to 55 min late for good",
      remedy: "Set batching.maxWait to 3s or more, or use fewer partitions.",
    });
    assert.equal(judge({ partitions: 6, batching: { maxWait: "3s" } })[0]?.result, "ok");
  });

  test("that they fit is said with what they take", () => {
    assert.deepEqual(judge({ partitions: 6, quota: 100, batching: {} }), [
      { check: "quota", result: "ok", detail: "batches cut by time take up to 0.6 requests/s", remedy: null },
    ]);
  });

  test("is no trouble where every batch is full at once", () => {
    assert.equal(judge({ batching: { maxWait: "1s", maxEntries: 1 } })[0]?.result, "ok");
  });

  test("that no maxWait helps is to be raised, or the partitions to be fewer", () => {
    const [found] = judge({ partitions: 100, quota: 0.02 });
    assert.equal(found?.remedy, "Use fewer partitions, or get a larger quota.");
  });

  const GROUPS = {
    ...{ dialect: "admin-dnc-groups", tenantId: "t", groupId: 7 },
    auth: { accessKeyId: "key", accessKeySecret: "s3cret" },
  };
  for (const [what, given] of [
    ["a quota that is far too low", { quota: 0.1 }],
    ["one that is nearly enough", { quota: 20 }],
    ["large batches", { batching: { maxWait: "1s", maxEntries: 1_000 } }],
    [
      "an API that takes a part of a batch",
      { environment: GROUPS, batching: { maxWait: "1s", maxEntries: 500 } },
    ],
  ] as const) {
    test(`exceeded by ${what}: from and to these loads it is as \`size\` says`, () => {
      const plan = planOf(given);
      const [loads] = lateLoads(plan);
      assert.ok(loads);
      const verdict = (eventsPerSecond: number) =>
        sizeOf({ ...plan, eventsPerSecond }).environments[0]?.verdict;
      assert.equal(verdict(loads.from * 0.999), "enough");
      assert.equal(verdict(loads.from * 1.001), "late");
      assert.equal(verdict(loads.to * 0.999), "late");
      assert.equal(verdict(loads.to * 1.001), "behind");
    });
  }
});
