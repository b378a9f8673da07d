import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PendingEvent } from "../../src/inspect/pending.ts";
import type { FoundStatus } from "../../src/inspect/statuses.ts";
import { eventsOf, sealedOf, summaries, type Trace } from "../../src/inspect/trace.ts";
import { describeTrace } from "../../src/inspect/trace-report.ts";

const PHONE = "+12125550123";
const context = { topic: "events", names: ["production", "us-west"] };
const at = (second: number): string => new Date(Date.UTC(2026, 2, 1, 9, 0, second)).toISOString();

const statusOf = (offset: number, more: Partial<FoundStatus> = {}): FoundStatus => ({
  ...{ statusId: `events:0:${offset}`, outcome: "delivered", eventId: `e-${offset}`, phone: PHONE },
  ...{ source: "web", reason: null, detail: null, idempotencyKey: "key", occurredAt: null },
  origin: { topic: "events", partition: 0, offset, timestamp: at(offset) },
  environments: [
    {
      ...{ name: "production", outcome: "accepted", attempts: 1, httpStatus: 201 },
      ...{ requestId: "r-1", acknowledgedAt: at(offset + 1) },
    },
    {
      ...{ name: "us-west", outcome: "accepted", attempts: null, httpStatus: null },
      ...{ requestId: null, acknowledgedAt: null },
    },
  ],
  ...{ completedAt: at(offset + 2), redriven: null },
  ...more,
});

const pendingOf = (offset: number, batch: PendingEvent["batch"]): PendingEvent => ({
  ...{ partition: 0, offset, timestamp: Date.parse(at(offset)), redriven: null, batch },
  event: {
    ...{ phone: PHONE, type: "dncl", expiresAt: null, source: "ivr", eventId: null },
    occurredAt: "2026-03-01T09:00:00Z",
  },
});

const outcomes = (trace: ReturnType<typeof eventsOf>) =>
  trace.map(({ state, environments }) => [state, ...environments.map(({ outcome }) => outcome)]);

describe("the opt-outs of a phone", () => {
  test("what is settled behind the committed offset is told once, by its status", () => {
    const batch = { key: "key", settled: true, acknowledged: [true, true] };
    const events = eventsOf([statusOf(5)], [pendingOf(5, batch), pendingOf(6, null)], context);
    assert.deepEqual(outcomes(events), [
      ["settled", "accepted", "accepted"],
      ["waiting", "pending", "pending"],
    ]);
  });

  test("of a sealed one the ledger says who has it; of a settled one without status nothing is known", () => {
    const sealed = { key: "key", settled: false, acknowledged: [true, false] };
    const settled = { key: "key", settled: true, acknowledged: [true, true] };
    assert.deepEqual(outcomes(eventsOf([], [pendingOf(5, sealed), pendingOf(6, settled)], context)), [
      ["sealed", "accepted", "pending"],
      ["sealed", "unknown", "unknown"],
    ]);
  });

  test("one that had the same offset before the topic was made anew is another one", () => {
    const before = statusOf(5, { origin: { topic: "events", partition: 0, offset: 5, timestamp: at(1) } });
    const events = eventsOf([before], [pendingOf(5, null)], context);
    assert.deepEqual(
      events.map(({ state, origin }) => [state, origin.timestamp]),
      [
        ["settled", at(1)],
        ["waiting", at(5)],
      ],
    );
  });

  test("of a batch that couldn't be read whole it is unknown who has a part of it", () => {
    const batch = { key: null, settled: false, acknowledged: [true, null] };
    const events = eventsOf([], [pendingOf(5, batch)], context);
    assert.deepEqual(outcomes(events), [["sealed", "accepted", "unknown"]]);
  });

  test("statuses of sealed events are looked for from the oldest of these on, whatever else is asked for", () => {
    const batch = { key: "key", settled: true, acknowledged: [true, true] };
    const { statusIds, from } = sealedOf(
      [pendingOf(9, batch), pendingOf(4, batch), pendingOf(1, null)],
      "events",
    );
    assert.deepEqual([...statusIds], ["events:0:9", "events:0:4"]);
    assert.equal(from, Date.parse(at(4)) - 3_600_000, "clocks differ");
    assert.deepEqual(sealedOf([], "events"), { statusIds: new Set(), from: Number.POSITIVE_INFINITY });
  });

  test("they are in the order in which Kafka got them", () => {
    const events = eventsOf([statusOf(7), statusOf(3)], [pendingOf(5, null)], context);
    assert.deepEqual(
      events.map(({ origin }) => origin.offset),
      [3, 5, 7],
    );
  });

  test("a timestamp that is no time doesn't hinder", () => {
    const odd = { ...pendingOf(5, null), timestamp: 1e18 };
    assert.equal(eventsOf([], [odd], context)[0]?.origin.timestamp, "9999-12-31T23:59:59.999Z");
  });

  test("an environment is known to have the phone since its first acknowledgement, else since the outcome", () => {
    const refused = statusOf(1, {
      environments: [
        {
          ...{ name: "us-east", outcome: "rejected", attempts: 1, httpStatus: 422 },
          ...{ requestId: null, acknowledgedAt: null },
        },
      ],
    });
    const events = eventsOf([statusOf(9), statusOf(5), refused], [pendingOf(11, null)], context);
    assert.deepEqual(summaries(events, [...context.names, "new"]), [
      { name: "production", accepted: 2, rejected: 0, pending: 1, unknown: 0, acceptedBy: at(6) },
      { name: "us-west", accepted: 2, rejected: 0, pending: 1, unknown: 0, acceptedBy: at(7) },
      { name: "new", accepted: 0, rejected: 0, pending: 0, unknown: 0, acceptedBy: null },
      { name: "us-east", accepted: 0, rejected: 1, pending: 0, unknown: 0, acceptedBy: null },
    ]);
  });
});

describe("a trace for people", () => {
  const traceOf = (
    events: Trace["events"],
    more: Partial<Trace["read"]["status"]> = {},
    pending: Partial<Trace["read"]["pending"]> = {},
    problem: string | null = null,
  ): Trace => ({
    ...{ phone: PHONE, events, environments: summaries(events, context.names) },
    read: {
      status: {
        ...{ topic: "status", partitions: [4], partitionsInAll: 6, because: "key", since: null },
        ...{ records: 166_499, unreadable: [], behindTransaction: [] },
        ...more,
      },
      pending: {
        ...{ topic: "events", records: 2, withoutPhone: 1, withoutSchema: 0, behindTransaction: [] },
        ...pending,
      },
      problem,
    },
  });

  test("tells when each environment had it, each opt-out, and what was read", () => {
    const redriven = { origin: "events:0:1", from: "events:0:2", at: at(3), count: 2 };
    const sealed = { key: "events:0:8-9:0011223344556677", settled: false, acknowledged: [true, false] };
    const events = eventsOf([statusOf(5, { redriven })], [pendingOf(8, sealed)], context);
    assert.equal(
      describeTrace(traceOf(events)),
      `+12125550123: 2 opt-outs

environment  accepted since            accepted  rejected  pending
production   2026-03-01T09:00:06.000Z         2         0        0
us-west      2026-03-01T09:00:07.000Z         1         0        1

1. From web
   received  2026-03-01T09:00:05.000Z  events, partition 0, offset 5
   event id  e-5
   batch     key
   outcome   delivered, 2026-03-01T09:00:07.000Z
   redriven  2026-03-01T09:00:03.000Z, for events:0:2 (round 2)

   environment  answer    attempts  HTTP  acknowledged              request id
   production   accepted         1   201  2026-03-01T09:00:06.000Z  r-1
   us-west      accepted         -     -  -                         -

2. From ivr
   asked     2026-03-01T09:00:00Z
   received  2026-03-01T09:00:08.000Z  events, partition 0, offset 8
   batch     events:0:8-9:0011223344556677
   outcome   pending: waits for us-west

   environment  answer    attempts  HTTP  acknowledged  request id
   production   accepted         -     -  -             -
   us-west      pending          -     -  -             -

Read: 166,499 records of status in partition 4 of 6, where this number's go; 2 pending of events.
In one of the pending ones no phone could be read. It will be rejected.
`,
    );
  });

  test("says what nothing was found in, and what couldn't be read", () => {
    const unreadable = [{ partition: 2, offset: 9, detail: "not valid JSON" }];
    const text = describeTrace(
      traceOf([], { because: "moved", partitions: [0, 1], partitionsInAll: 2, since: at(0), unreadable }),
    );
    assert.equal(
      text,
      `Nothing was found of +12125550123, but not all could be read.

Read: 166,499 records of status in all 2 partitions, since the topic's records don't all lie where their keys would go now, from 2026-03-01T09:00:00.000Z on; 2 pending of events.
In one of the pending ones no phone could be read. It will be rejected.
A status of this number, partition 2, offset 9, couldn't be read: not valid JSON.
`,
    );
  });

  test("doesn't say that nothing is known when something can't be read yet, or now", () => {
    assert.match(describeTrace(traceOf([])), /^Nothing is known of /);
    const behindTransaction = [
      { partition: 2, records: 1 },
      { partition: 3, records: 1_200 },
    ];
    const text = describeTrace(
      traceOf([], {}, { behindTransaction, withoutSchema: 2 }, "The schema registry gave no answer."),
    );
    assert.match(text, /^Nothing was found of \+12125550123, but not all could be read\.\n/);
    assert.match(text, /^1 record waits behind an open transaction in partition 2 of events: /m);
    assert.match(text, /^1,200 records wait behind an open transaction in partition 3 of events: /m);
    assert.match(text, /^2 of the pending ones couldn't be read for want of their schema: /m);
    assert.match(text, /^The schema registry gave no answer\.$/m);
  });
});
