import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { EnvironmentResult, StatusRecord } from "../../src/results/status.ts";
import { readTopic, type TopicRecord } from "../support/kafka.ts";
import { createScenario, optOut, phoneOf, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { entryRequests, rangeOf } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Requests that carried this range, in the environment's own log. */
const requestsFor = ({ simulator }: Scenario, environment: string, first: number, last: number) =>
  entryRequests(simulator, environment).filter(({ key }) => {
    const range = key === null ? undefined : rangeOf(key);
    return range?.first === first && range.last === last;
  });

const requestIdOf = ({ simulator }: Scenario, environment: string, phone: string): string | undefined =>
  simulator.entries(environment).find((entry) => entry.phone === phone)?.requestId;

const resultOf = (status: StatusRecord | undefined, environment: string): EnvironmentResult => {
  const result = status?.environments.find(({ name }) => name === environment);
  assert.ok(result, `a result of ${environment}`);
  return result;
};

const text = (value: unknown): string => (Buffer.isBuffer(value) ? value.toString() : String(value));

function assertAcknowledged(
  scenario: Scenario,
  status: StatusRecord,
  environment: string,
  attempts: number,
): void {
  const { acknowledgedAt, ...rest } = resultOf(status, environment);
  const { first, last } = rangeOf(status.idempotencyKey ?? "");
  const requests = requestsFor(scenario, environment, first, last);
  assert.equal(requests.length, attempts, `requests to ${environment}`);
  assert.deepEqual(rest, {
    name: environment,
    outcome: "accepted",
    attempts,
    httpStatus: 201,
    requestId: requestIdOf(scenario, environment, status.phone ?? ""),
  });
  assert.match(acknowledgedAt ?? "", RFC_3339);
  assert.ok((acknowledgedAt ?? "") >= (requests.at(-1)?.at ?? "none"), "acknowledged after the last request");
  assert.ok((acknowledgedAt ?? "") <= status.completedAt, "acknowledged before it was complete");
}

const byOffset = async (scenario: Scenario): Promise<Map<number, StatusRecord>> =>
  new Map((await scenario.statuses()).map((status) => [status.origin.offset, status]));

describe("results", () => {
  after(releaseStack);

  test("the status of a delivered event says all the contract promises, as the environments saw it", async () => {
    await using scenario = await createScenario({
      partitions: 1,
      batching: { maxEntries: 2, maxWait: "30s" },
    });
    const { simulator, config } = scenario;
    simulator.setFaults("us-west", { errorRate: 1 });
    // Takes the batch, but the answer is lost: the second request gets the first one's answer from memory.
    simulator.setFaults("eu-central", { dropAfterApply: true });
    await scenario.startRelay();
    const timestamp = Date.parse("2026-03-01T09:00:00.123Z");
    const value = {
      phone: "(212) 555-0123",
      source: "ivr",
      eventId: "call-4711",
      occurredAt: "2026-03-01T10:00:00+01:00",
      action: "opt_out",
    };
    const startedAt = new Date().toISOString();
    await scenario.produce([
      { key: "web-form", value: JSON.stringify(value), timestamp: String(timestamp) },
      { key: "other", value: JSON.stringify({ phone: phoneOf(1) }), timestamp: String(timestamp) },
    ]);
    await waitFor("two failures", () => requestsFor(scenario, "us-west", 0, 1).length >= 2);
    simulator.setFaults("us-west", {});
    await scenario.allSettled();

    const [status, other] = await scenario.statuses();
    assert.ok(status);
    const { completedAt, environments, ...rest } = status;
    const [request] = requestsFor(scenario, "production", 0, 1);
    assert.deepEqual(rest, {
      statusId: `${config.topics.events}:0:0`,
      outcome: "delivered",
      eventId: "call-4711",
      phone: "+12125550123",
      source: "ivr",
      reason: null,
      detail: null,
      idempotencyKey: request?.key,
      origin: { topic: config.topics.events, partition: 0, offset: 0, timestamp: "2026-03-01T09:00:00.123Z" },
      occurredAt: "2026-03-01T10:00:00+01:00",
    });
    assert.match(completedAt, RFC_3339);
    assert.ok(completedAt >= startedAt && completedAt <= new Date().toISOString());
    assert.deepEqual(
      environments.map(({ name }) => name),
      scenario.environments,
    );
    const failures = requestsFor(scenario, "us-west", 0, 1).filter(
      (each) => (each.status ?? 0) >= 500,
    ).length;
    assert.ok(failures >= 2);
    assertAcknowledged(scenario, status, "production", 1);
    assertAcknowledged(scenario, status, "us-west", failures + 1);
    assertAcknowledged(scenario, status, "eu-central", 2);
    assert.deepEqual([other?.eventId, other?.source, other?.occurredAt], [null, "unknown", null]);
    assert.equal(other?.idempotencyKey, status.idempotencyKey);
    assert.equal((await scenario.deadLetters()).length, 0);
  });

  test("status records are keyed by the phone, else by the event's own key", async () => {
    await using scenario = await createScenario({ partitions: 1, environments: ["production"] });
    await scenario.startRelay();
    const binary = Buffer.from([0, 0xff, 0x80]);
    const details = { source: "crm", eventId: "e-9", occurredAt: "2026-03-01T09:00:00Z" };
    await scenario.produce([
      { key: "anything", value: JSON.stringify({ phone: "212-555-0123" }) },
      { key: binary, value: JSON.stringify({ phone: "12", ...details }) },
      { key: null, value: "garbage" },
      { key: null, value: JSON.stringify({ phone: "+12125550123" }) },
    ]);
    await scenario.allSettled();
    const records = await readTopic(scenario.kafka, scenario.admin, scenario.config.topics.status);
    assert.deepEqual(
      records.map(({ key }) => key),
      [Buffer.from("+12125550123"), binary, null, Buffer.from("+12125550123")],
    );
    const { completedAt, origin, detail, ...rest } = (await scenario.statuses())[1] ?? assert.fail();
    assert.deepEqual(rest, {
      statusId: `${scenario.config.topics.events}:0:1`,
      outcome: "rejected",
      phone: null,
      reason: "invalid_phone",
      idempotencyKey: null,
      environments: [],
      ...details,
    });
    assert.match(completedAt, RFC_3339);
    assert.equal(origin.offset, 1);
    assert.ok(detail);
  });

  test("an entry that environments refuse is dead-lettered for each of them, and the others are delivered", async () => {
    await using scenario = await createScenario({
      partitions: 1,
      batching: { maxEntries: 8, maxWait: "30s" },
    });
    const { simulator } = scenario;
    const [some, all] = [phoneOf(3), phoneOf(6)];
    simulator.setFaults("production", { rejectPhones: [all] });
    simulator.setFaults("us-west", { rejectPhones: [some, all] });
    simulator.setFaults("eu-central", { rejectPhones: [all] });
    const relay = await scenario.startRelay();
    const messages = Array.from({ length: 8 }, (_, index) => ({
      ...optOut(index),
      headers: { trace: `t-${index}` },
    }));
    await scenario.produce(messages);
    await scenario.allSettled();

    const statuses = await byOffset(scenario);
    const outcomes = [...statuses].map(([offset, { outcome, reason }]) => [offset, outcome, reason]);
    const delivered = (offset: number) => [offset, "delivered", null];
    assert.deepEqual(outcomes, [
      ...[0, 1, 2].map(delivered),
      [3, "partially_delivered", "refused_by_environment"],
      ...[4, 5].map(delivered),
      [6, "rejected", "refused_by_environment"],
      delivered(7),
    ]);
    const partial = statuses.get(3);
    assert.equal(partial?.detail, "refused by us-west (HTTP 422)");
    assert.equal(partial?.phone, some);
    assert.equal(partial?.idempotencyKey, statuses.get(0)?.idempotencyKey, "the key of the batch it was in");
    const alone = requestsFor(scenario, "us-west", 3, 3);
    const { requestId, ...refusal } = resultOf(partial, "us-west");
    assert.deepEqual(refusal, {
      name: "us-west",
      outcome: "rejected",
      attempts: alone.length,
      httpStatus: 422,
      acknowledgedAt: null,
    });
    assert.ok(requestId, "the id of the answer that refused it");
    const accepted = resultOf(partial, "production");
    assert.equal(accepted.outcome, "accepted");
    assert.equal(accepted.requestId, requestIdOf(scenario, "production", some));

    const letters = (await scenario.deadLetters()).map(({ key, value, headers = {} }: TopicRecord) => ({
      key: text(key),
      value: text(value),
      headers: Object.fromEntries(Object.entries(headers).map(([name, header]) => [name, text(header)])),
    }));
    const letterOf = (offset: number, environment: string) => ({
      key: phoneOf(offset),
      value: messages[offset]?.value,
      headers: {
        trace: `t-${offset}`,
        "__connect.errors.topic": scenario.config.topics.events,
        "__connect.errors.partition": "0",
        "__connect.errors.offset": String(offset),
        "__connect.errors.exception.message": statuses.get(offset)?.detail,
        "optout.reason": "refused_by_environment",
        "optout.environment": environment,
        "optout.attempts": String(requestsFor(scenario, environment, offset, offset).length),
        "optout.http.status": "422",
      },
    });
    assert.deepEqual(letters, [
      letterOf(3, "us-west"),
      ...scenario.environments.map((environment) => letterOf(6, environment)),
    ]);
    const listed = (environment: string) =>
      simulator
        .entries(environment)
        .map(({ phone }) => phone)
        .sort();
    const others = Array.from({ length: 8 }, (_, index) => phoneOf(index)).filter((phone) => phone !== all);
    assert.deepEqual(listed("production"), [...others].sort());
    assert.deepEqual(listed("us-west"), others.filter((phone) => phone !== some).sort());
    assert.equal(await relay.metric("optout_events_rejected_total", '{reason="refused_by_environment"}'), 2);
    assert.equal(await relay.metric("optout_events_completed_total", '{outcome="partially_delivered"}'), 1);
  });

  test("what was acknowledged before a restart is told without details, and the rest with them", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    const { simulator } = scenario;
    simulator.setFaults("us-west", { outage: "503" });
    const first = await scenario.startRelay();
    await scenario.produce(Array.from({ length: 5 }, (_, index) => optOut(index)));
    await waitFor("two acknowledgements to be in the ledger", async () => {
      const ledger = (await scenario.committed()).get(0)?.ledger ?? [];
      const events = ledger.reduce((sum, batch) => sum + batch.last - batch.first + 1, 0);
      return (
        events === 5 &&
        ledger.every(({ acknowledged }) => acknowledged[0] && !acknowledged[1] && acknowledged[2])
      );
    });
    first.kill("SIGKILL");
    await first.exit;
    simulator.setFaults("us-west", {});
    await scenario.startRelay();
    await scenario.allSettled();
    const statuses = await scenario.statuses();
    assert.equal(statuses.length, 5);
    for (const status of statuses) {
      assert.equal(status.outcome, "delivered");
      for (const name of ["production", "eu-central"]) {
        assert.deepEqual(resultOf(status, name), {
          name,
          outcome: "accepted",
          attempts: null,
          httpStatus: null,
          requestId: null,
          acknowledgedAt: null,
        });
      }
      const late = resultOf(status, "us-west");
      assert.equal(late.outcome, "accepted");
      assert.equal(late.httpStatus, 201);
      assert.equal(late.attempts, 1, "attempts since the restart");
      assert.equal(late.requestId, requestIdOf(scenario, "us-west", status.phone ?? ""));
      assert.match(late.acknowledgedAt ?? "", RFC_3339);
    }
  });
});
