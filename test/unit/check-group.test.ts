import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeLedger } from "../../src/batching/ledger.ts";
import { type GroupFacts, judgeBrokerSettings, judgeGroup } from "../../src/check/group.ts";
import type { GroupView } from "../../src/kafka/questions.ts";

const VIEW: GroupView = {
  ...{ errorCode: 0, state: "Stable", protocolType: "consumer", protocol: "RoundRobinAssigner" },
  members: [{ clientId: "optout-relay", topics: ["events"] }],
  allowed: new Set(["READ", "DESCRIBE"]),
};

const troubles = (view: Partial<GroupView>, commits: GroupFacts["commits"] | null = []): string[] =>
  judgeGroup({
    ...{ groupId: "g", eventsTopic: "events", commits: commits ?? undefined, environments: ["production"] },
    view: { ...VIEW, ...view },
  })
    .filter(({ result }) => result !== "ok")
    .map(({ check, result }) => `${check} ${result}`);

describe("a consumer group", () => {
  test("is fine with a relay in it, and with nobody", () => {
    assert.deepEqual(troubles({}), []);
    assert.deepEqual(troubles({ state: "Dead", protocolType: "", protocol: "", members: [] }), []);
  });

  test("whose members haven't said what they read, as in a rebalance, is no trouble", () => {
    assert.deepEqual(troubles({ protocol: "", members: [{ clientId: "x", topics: undefined }] }), []);
  });

  test("of others is found by their topics, their assignor or their kind", () => {
    assert.deepEqual(troubles({ members: [{ clientId: "billing", topics: ["bills"] }] }), ["members failed"]);
    assert.deepEqual(troubles({ protocol: "range" }), ["members failed"]);
    assert.deepEqual(troubles({ protocolType: "connect" }), ["members failed"]);
  });

  test("that the user may not join is said to be that", () => {
    assert.deepEqual(troubles({ allowed: new Set(["DESCRIBE"]) }), ["access failed"]);
    assert.deepEqual(troubles({ errorCode: 30 }), ["access failed"]);
    assert.deepEqual(troubles({ allowed: undefined }), ["access not_checked"]);
  });

  test("is warned of for commits that hold no ledger of ours, and not for a ledger or none", () => {
    const batch = { first: 5, last: 9, digest: 1, settled: false, acknowledged: [true] };
    const ledger = encodeLedger(5, [batch], ["production"]);
    const commit = (partition: number, metadata: string) => ({ partition, offset: 5, metadata });
    assert.deepEqual(troubles({}, [commit(0, ""), commit(1, ledger)]), []);
    assert.deepEqual(troubles({}, [commit(0, ""), commit(1, "v1:theirs")]), ["commits warning"]);
    assert.deepEqual(troubles({}, null), ["commits not_checked"]);
  });
});

describe("the brokers' settings", () => {
  const judge = (settings: Record<string, string>[], sessionTimeout = 10_000): string[] =>
    judgeBrokerSettings(
      new Map(settings.map((each, index) => [`broker-${index}:9092`, new Map(Object.entries(each))])),
      sessionTimeout,
    )
      .filter(({ result }) => result !== "ok")
      .map(({ check, result, detail }) => `${check} ${result} ${/broker-\d/.exec(detail)?.[0] ?? ""}`.trim());
  const good = {
    "offset.metadata.max.bytes": "4096",
    "group.min.session.timeout.ms": "6000",
    "group.max.session.timeout.ms": "1800000",
  };

  test("leave room for the ledger on every broker, or the tight one is named", () => {
    assert.deepEqual(judge([good, good]), []);
    const tight = { ...good, "offset.metadata.max.bytes": "4095" };
    assert.deepEqual(judge([good, tight]), ["commit metadata failed broker-1"]);
  });

  test("allow the session timeout, bounds included", () => {
    assert.deepEqual(judge([good], 6_000), []);
    assert.deepEqual(judge([good], 5_999), ["session timeout failed"]);
    assert.deepEqual(judge([good], 1_800_001), ["session timeout failed"]);
  });

  test("that nobody tells are not checked", () => {
    assert.deepEqual(judge([]), ["commit metadata not_checked", "session timeout not_checked"]);
    assert.deepEqual(judge([{}]), ["commit metadata not_checked", "session timeout not_checked"]);
  });
});
