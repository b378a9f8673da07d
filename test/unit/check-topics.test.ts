import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Observation } from "../../src/check/finding.ts";
import { judgeTopic, type TopicFacts } from "../../src/check/topics.ts";
import type { TopicView } from "../../src/kafka/questions.ts";

const SETTINGS: Record<string, string> = {
  "cleanup.policy": "delete",
  "retention.ms": "-1",
  "retention.bytes": "-1",
  "min.insync.replicas": "2",
  "max.message.bytes": "2097152",
};
const settings = (more: Record<string, string> = {}) => new Map(Object.entries({ ...SETTINGS, ...more }));

function viewOf(count: number, replicas: number[], inSync: number[] = replicas, leader = 1): TopicView {
  const partitions = Array.from({ length: count }, (_, partition) => ({
    partition,
    leader,
    replicas,
    inSync,
  }));
  return { name: "t", errorCode: 0, partitions, allowed: new Set(["READ", "WRITE"]) };
}

const judge = (facts: Partial<TopicFacts> = {}): Observation[] =>
  judgeTopic({
    ...{ role: "events", name: "t", view: viewOf(6, [1, 2, 3]), brokers: 3 },
    ...{ settings: settings(), eventsSettings: settings({ "max.message.bytes": "1048588" }) },
    ...facts,
  });

const troubles = (facts: Partial<TopicFacts>): string[] =>
  judge(facts)
    .filter(({ result }) => result !== "ok")
    .map(({ check, result }) => `${check} ${result}`);

describe("a topic", () => {
  test("with three replicas, two of them needed, and nothing short is fine for each role", () => {
    for (const role of ["events", "status", "deadLetter"] as const) assert.deepEqual(troubles({ role }), []);
  });

  test("that is missing, or may not be seen, is said to be that alone", () => {
    const view = (errorCode: number): TopicView => ({ ...viewOf(0, []), errorCode });
    assert.deepEqual(troubles({ view: undefined }), ["exists failed"]);
    assert.deepEqual(troubles({ view: view(3) }), ["exists failed"]);
    assert.deepEqual(troubles({ view: view(29) }), ["access failed"]);
    assert.match(judge({ view: view(29), role: "status" })[0]?.remedy ?? "", /WRITE on the topic t/);
    assert.deepEqual(troubles({ view: view(87) }), ["exists failed"]);
  });

  for (const [role, allowed, expected] of [
    ["events", ["READ"], ["access warning"]],
    ["events", ["WRITE"], ["access failed"]],
    ["status", ["WRITE"], ["access warning"]],
    ["status", ["READ"], ["access failed"]],
    ["deadLetter", ["READ"], ["access failed"]],
    ["deadLetter", [], ["access failed"]],
    ["events", undefined, ["access not_checked"]],
  ] as const) {
    test(`of ${role} on which the user may ${allowed?.join() ?? "do who knows what"} is ${expected[0]}`, () => {
      const view = { ...viewOf(6, [1, 2, 3]), allowed: allowed && new Set(allowed) };
      assert.deepEqual(troubles({ role, view }), expected);
    });
  }

  for (const [what, facts, expected] of [
    ["a partition without a leader", { view: viewOf(6, [1, 2, 3], [1, 2, 3], -1) }, ["partitions failed"]],
    ["one partition", { view: viewOf(1, [1, 2, 3]) }, ["partitions warning"]],
    ["one partition of statuses", { role: "status", view: viewOf(1, [1, 2, 3]) }, []],
    [
      "one replica of three brokers",
      { view: viewOf(6, [1]), settings: settings({ "min.insync.replicas": "1" }) },
      ["replicas warning"],
    ],
    [
      "one replica of one broker",
      { view: viewOf(6, [1]), brokers: 1, settings: settings({ "min.insync.replicas": "1" }) },
      [],
    ],
    ["fewer replicas than needed", { view: viewOf(6, [1]) }, ["replicas failed"]],
    ["fewer in sync than needed", { view: viewOf(6, [1, 2, 3], [1]) }, ["replicas failed"]],
    ["a replica that is behind", { view: viewOf(6, [1, 2, 3], [1, 2]) }, ["replicas warning"]],
    ["as many needed as there are", { view: viewOf(6, [1, 2]) }, ["replicas warning"]],
    [
      "only one needed of three",
      { settings: settings({ "min.insync.replicas": "1" }) },
      ["replicas warning"],
    ],
  ] as const) {
    test(`with ${what}: ${expected.join() || "fine"}`, () => {
      assert.deepEqual(troubles(facts), expected);
    });
  }

  const DAY = 86_400_000;
  for (const [role, milliseconds, expected] of [
    ["events", 3 * DAY - 1, ["retention failed"]],
    ["events", 3 * DAY, ["retention warning"]],
    ["events", 14 * DAY - 1, ["retention warning"]],
    ["events", 14 * DAY, []],
    ["status", 5 * 365 * DAY - 1, ["retention warning"]],
    ["status", 5 * 365 * DAY, []],
    ["deadLetter", 30 * DAY - 1, ["retention warning"]],
    ["deadLetter", 30 * DAY, []],
  ] as const) {
    test(`of ${role} kept for ${milliseconds / DAY} days is ${expected[0] ?? "fine"}`, () => {
      assert.deepEqual(
        troubles({ role, settings: settings({ "retention.ms": String(milliseconds) }) }),
        expected,
      );
    });
  }

  test("that is compacted, even besides, fails for each role", () => {
    for (const role of ["events", "status", "deadLetter"] as const) {
      for (const policy of ["compact", "compact,delete"]) {
        assert.deepEqual(troubles({ role, settings: settings({ "cleanup.policy": policy }) }), [
          "cleanup policy failed",
        ]);
      }
    }
  });

  test("of dead letters needs room for the largest event and the headers that are added", () => {
    const role = "deadLetter";
    const sized = (bytes: number) =>
      ({ role, settings: settings({ "max.message.bytes": String(bytes) }) }) as const;
    assert.deepEqual(troubles(sized(1_048_588 + 4_096)), []);
    assert.deepEqual(troubles(sized(1_048_588 + 4_095)), ["message size warning"]);
  });

  test("whose settings can't be read is judged by the rest", () => {
    assert.deepEqual(troubles({ settings: new Error("denied") }), ["settings not_checked"]);
  });
});
