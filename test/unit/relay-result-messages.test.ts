import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { createBatchBuilder, type SourceRecord } from "../../src/batching/batch.ts";
import type { PartOutcome } from "../../src/delivery/lane.ts";
import type { Decoded } from "../../src/events/event.ts";
import { batchResults, type ResultContext } from "../../src/relay/result-messages.ts";
import { type SealedBatch, sealedBatch } from "../../src/relay/sealed-batch.ts";
import { createStatusEncoder, type StatusRecord } from "../../src/results/status.ts";
import { optOut, part, phoneOf, recordAt, rejected, SCOPE } from "./relay-partition-fixture.ts";

const NOW = Date.parse("2026-03-01T10:00:05.250Z");
const topics = { events: "opt-outs", status: "statuses", deadLetter: "dead" };
const context = (...environments: string[]): ResultContext => ({
  topics,
  environments,
  encoder: createStatusEncoder({ registry: null, topic: topics.status }),
});

function sealedOf(events: [SourceRecord, Decoded][], ...outcomes: SealedBatch["outcomes"]): SealedBatch {
  const builder = createBatchBuilder(SCOPE);
  for (const [record, decoded] of events) builder.add(record, decoded);
  const sealed = sealedBatch(builder.build(), outcomes.length);
  return Object.assign(sealed, { outcomes });
}

const results = (sealed: SealedBatch, ...environments: string[]) => {
  const all = batchResults(sealed, context(...environments), NOW);
  const of = (topic: string) =>
    all.messages.filter((each) => each.topic === topic).map(({ message }) => message);
  const statuses = of("statuses").map(({ value }): StatusRecord => JSON.parse(String(value)));
  return { ...all, statuses, statusMessages: of("statuses"), deadLetters: of("dead") };
};

const answered = (at: string, more: Partial<PartOutcome> = {}): PartOutcome => ({
  ...part(0, 1),
  answeredAt: Date.parse(at),
  ...more,
});

describe("the results of a batch", () => {
  test("a delivered event's status has every field, from the record, the event and the answers", () => {
    const record = { ...recordAt(41, 1_700_000_000_123), key: Buffer.from("the key") };
    const decoded: Decoded = {
      ok: true,
      event: {
        phone: "+12125550123",
        type: "dncl",
        expiresAt: null,
        source: "ivr",
        eventId: "call-7",
        occurredAt: "2026-03-01T09:00:00Z",
      },
    };
    const sealed = sealedOf(
      [[record, decoded]],
      [answered("2026-03-01T10:00:01.001Z", { attempts: 3, requestId: "r-1" })],
      [answered("2026-03-01T10:00:04.002Z", { httpStatus: 200, requestId: null })],
    );
    const { statuses, statusMessages, ...rest } = results(sealed, "production", "us-west");
    assert.deepEqual(statuses, [
      {
        statusId: "opt-outs:3:41",
        origin: { topic: "opt-outs", partition: 3, offset: 41, timestamp: "2023-11-14T22:13:20.123Z" },
        completedAt: "2026-03-01T10:00:05.250Z",
        outcome: "delivered",
        eventId: "call-7",
        phone: "+12125550123",
        source: "ivr",
        reason: null,
        detail: null,
        idempotencyKey: sealed.batch.key,
        environments: [
          {
            name: "production",
            outcome: "accepted",
            attempts: 3,
            httpStatus: 201,
            requestId: "r-1",
            acknowledgedAt: "2026-03-01T10:00:01.001Z",
          },
          {
            name: "us-west",
            outcome: "accepted",
            attempts: 1,
            httpStatus: 200,
            requestId: null,
            acknowledgedAt: "2026-03-01T10:00:04.002Z",
          },
        ],
        occurredAt: "2026-03-01T09:00:00Z",
      },
    ]);
    assert.equal(statusMessages[0]?.key, "+12125550123");
    assert.equal(statusMessages[0]?.timestamp, String(NOW));
    assert.deepEqual(rest.deadLetters, []);
    assert.deepEqual(rest.outcomes, { delivered: 1, rejected: 0, partially_delivered: 0 });
    assert.deepEqual(rest.deliveredAskedAt, [Date.parse("2026-03-01T09:00:00Z")]);
    assert.equal(rest.answeredAt, Date.parse("2026-03-01T10:00:04.002Z"));
  });

  test("the status of a redriven event tells where it comes from, and so does its dead letter", () => {
    const origin = {
      "optout.redriven.origin": "opt-outs:3:7",
      "optout.redriven.from": "opt-outs:3:40",
      "optout.redriven.at": "2026-03-01T09:00:00.000Z",
      "optout.redriven.count": "2",
    };
    const bytes = Object.entries(origin).map(([name, value]) => [name, Buffer.from(value)]);
    const headers = { trace: Buffer.from("t"), ...Object.fromEntries(bytes) };
    const { statusMessages, deadLetters } = results(
      sealedOf(
        [
          [{ ...recordAt(41), headers }, optOut({ phone: phoneOf(0) })],
          [{ ...recordAt(42), headers }, rejected],
          [recordAt(43), optOut({ phone: phoneOf(1) })],
        ],
        [answered("2026-03-01T10:00:01.001Z", { to: 2 })],
      ),
      "production",
    );
    assert.deepEqual(
      statusMessages.map((message) => message.headers),
      [origin, origin, undefined],
    );
    const [letter] = deadLetters;
    assert.deepEqual(letter?.headers, { ...letter?.headers, ...headers });
  });

  test("an acknowledgement that only the ledger knows of has no details", () => {
    const sealed = sealedOf([[recordAt(0), optOut({ phone: phoneOf(0) })]], "earlier", [
      answered("2026-03-01T10:00:04Z"),
    ]);
    const { statuses } = results(sealed, "production", "us-west");
    assert.deepEqual(statuses[0]?.environments[0], {
      name: "production",
      outcome: "accepted",
      attempts: null,
      httpStatus: null,
      requestId: null,
      acknowledgedAt: null,
    });
    assert.equal(statuses[0]?.outcome, "delivered");
  });

  test("when all is known from the ledger alone, the last answer counts as now", () => {
    const sealed = sealedOf([[recordAt(0), optOut({ phone: phoneOf(0) })]], "earlier", "earlier");
    assert.equal(results(sealed, "production", "us-west").answeredAt, NOW);
  });

  test("a rejected event keeps what is known of it, goes to no environment, and is dead-lettered whole", () => {
    const record: SourceRecord = {
      offset: 9,
      timestamp: 1_700_000_000_000,
      key: Buffer.from("k"),
      value: Buffer.from([0xff, 0x00, 0x7b]),
      headers: { trace: Buffer.from("t") },
    };
    const decoded: Decoded = {
      ok: false,
      reason: "invalid_phone",
      detail: "too short",
      eventId: "e",
      source: "web",
      occurredAt: null,
    };
    const sealed = sealedOf([[record, decoded]], undefined, undefined);
    const { statuses, statusMessages, deadLetters, outcomes, rejections } = results(
      sealed,
      "production",
      "us-west",
    );
    assert.deepEqual(
      statuses.map(({ outcome, reason, detail, phone, eventId, source, environments, idempotencyKey }) => ({
        ...{ outcome, reason, detail, phone, eventId, source, environments, idempotencyKey },
      })),
      [
        {
          outcome: "rejected",
          reason: "invalid_phone",
          detail: "too short",
          phone: null,
          eventId: "e",
          source: "web",
          environments: [],
          idempotencyKey: null,
        },
      ],
    );
    assert.deepEqual(statusMessages[0]?.key, Buffer.from("k"), "the event's own key, for want of a phone");
    assert.deepEqual(deadLetters, [
      {
        key: record.key,
        value: record.value,
        headers: {
          trace: Buffer.from("t"),
          "__connect.errors.topic": "opt-outs",
          "__connect.errors.partition": "3",
          "__connect.errors.offset": "9",
          "__connect.errors.exception.message": "too short",
          "optout.reason": "invalid_phone",
        },
      },
    ]);
    assert.deepEqual(outcomes, { delivered: 0, rejected: 1, partially_delivered: 0 });
    assert.deepEqual([...rejections], [["invalid_phone", 1]]);
  });

  test("the detail names who refused, with the status and what the API's dialect says of it", () => {
    const events: [SourceRecord, Decoded][] = [[recordAt(0), optOut({ phone: phoneOf(0) })]];
    const unsent = {
      ...part(0, 1, false),
      httpStatus: null,
      requestId: null,
      detail: "no form for +44 here",
    };
    const sealed = sealedOf(events, [unsent], [{ ...part(0, 1, false), httpStatus: 200, detail: "twice" }]);
    const { statuses, deadLetters } = results(sealed, "production", "us-west");
    const detail = "refused by production (no form for +44 here), us-west (HTTP 200: twice)";
    assert.deepEqual([statuses[0]?.outcome, statuses[0]?.detail], ["rejected", detail]);
    assert.deepEqual(
      deadLetters.map(({ headers }) => headers?.["optout.http.status"]),
      [undefined, "200"],
    );
  });

  test("an entry that one environment refused is partially delivered, with a dead letter for that environment", () => {
    const events = [0, 1].map((offset): [SourceRecord, Decoded] => [
      recordAt(offset),
      optOut({ phone: phoneOf(offset) }),
    ]);
    const parts = [part(0, 1), { ...part(1, 2, false), attempts: 2 }];
    const sealed = sealedOf(events, [part(0, 2)], parts);
    const { statuses, deadLetters, outcomes, rejections, deliveredAskedAt } = results(
      sealed,
      "production",
      "us-west",
    );
    assert.deepEqual(
      statuses.map(({ outcome, reason, detail }) => ({ outcome, reason, detail })),
      [
        { outcome: "delivered", reason: null, detail: null },
        {
          outcome: "partially_delivered",
          reason: "refused_by_environment",
          detail: "refused by us-west (HTTP 422)",
        },
      ],
    );
    assert.deepEqual(statuses[1]?.environments[1], {
      name: "us-west",
      outcome: "rejected",
      attempts: 2,
      httpStatus: 422,
      requestId: "request-1-2",
      acknowledgedAt: null,
    });
    assert.equal(deadLetters.length, 1);
    assert.deepEqual(deadLetters[0]?.value, Buffer.from("1"));
    assert.equal(deadLetters[0]?.headers?.["optout.environment"], "us-west");
    assert.equal(deadLetters[0]?.headers?.["optout.attempts"], "2");
    assert.equal(deadLetters[0]?.headers?.["optout.http.status"], "422");
    assert.deepEqual(outcomes, { delivered: 1, rejected: 0, partially_delivered: 1 });
    assert.deepEqual([...rejections], [["refused_by_environment", 1]]);
    assert.equal(deliveredAskedAt.length, 1, "only what is on every list counts");
  });

  test("an entry that every environment refused is rejected, with a dead letter for each, under its phone", () => {
    const sealed = sealedOf(
      [[recordAt(0), optOut({ phone: phoneOf(0) })]],
      [part(0, 1, false)],
      [part(0, 1, false)],
    );
    const { statuses, statusMessages, deadLetters, outcomes } = results(sealed, "production", "us-west");
    assert.equal(statuses[0]?.outcome, "rejected");
    assert.equal(statuses[0]?.detail, "refused by production (HTTP 422), us-west (HTTP 422)");
    assert.equal(statuses[0]?.phone, phoneOf(0));
    assert.equal(statusMessages[0]?.key, phoneOf(0));
    assert.deepEqual(
      deadLetters.map(({ headers }) => headers?.["optout.environment"]),
      ["production", "us-west"],
    );
    assert.deepEqual(outcomes, { delivered: 0, rejected: 1, partially_delivered: 0 });
  });

  test("events that share an entry each have a status of their own, with the same answers", () => {
    const decoded = optOut({ phone: phoneOf(0) });
    const sealed = sealedOf(
      [5, 6, 8].map((offset) => [recordAt(offset), decoded]),
      [part(0, 1)],
    );
    const { statuses, messages } = results(sealed, "production");
    assert.deepEqual(
      statuses.map(({ statusId }) => statusId),
      ["opt-outs:3:5", "opt-outs:3:6", "opt-outs:3:8"],
    );
    assert.equal(new Set(statuses.map(({ environments }) => JSON.stringify(environments))).size, 1);
    assert.equal(messages.length, 3);
  });

  test("a status has the event's own key up to 1 KiB, and a digest in place of a longer one", () => {
    const keyOf = (bytes: number) => {
      const record = { ...recordAt(0), key: Buffer.alloc(bytes, "k") };
      const { statusMessages, deadLetters } = results(sealedOf([[record, rejected]]));
      assert.deepEqual(deadLetters[0]?.key, record.key, "the dead letter has it as it is");
      return statusMessages[0]?.key;
    };
    assert.deepEqual(keyOf(1_024), Buffer.alloc(1_024, "k"));
    const digest = createHash("sha256").update("k".repeat(1_025)).digest("hex");
    assert.equal(keyOf(1_025), digest);
    assert.equal(keyOf(0)?.length, 0);
  });

  test("whatever the timestamp, there is a status with a time in RFC 3339", () => {
    const timestampOf = (timestamp: number) =>
      results(sealedOf([[recordAt(0, timestamp), rejected]])).statuses[0]?.origin.timestamp;
    assert.equal(timestampOf(1.7e18), "9999-12-31T23:59:59.999Z");
    assert.equal(timestampOf(8.64e15), "9999-12-31T23:59:59.999Z");
    assert.equal(timestampOf(-1.7e18), "0000-01-01T00:00:00.000Z");
    assert.equal(timestampOf(Number.POSITIVE_INFINITY), "9999-12-31T23:59:59.999Z");
    assert.equal(timestampOf(Number.NaN), "1970-01-01T00:00:00.000Z");
    assert.equal(timestampOf(-1), "1969-12-31T23:59:59.999Z");
  });
});
