import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isTimed, optOutOf } from "../../src/evidence/opt-out.ts";
import type { FoundStatus } from "../../src/inspect/statuses.ts";
import { accepted, at, PHONE, refused, statusOf } from "./evidence-fixture.ts";

const honoured = (more: Partial<FoundStatus>) => {
  const optOut = optOutOf(statusOf(1, more), { reveal: false });
  return [optOut.timeToHonourSeconds, optOut.timeToHonourIs, optOut.countedFrom];
};

describe("an opt-out of the evidence", () => {
  test("it is honoured when the last environment has it, counted from when the person asked", () => {
    assert.deepEqual(honoured({}), [60, "exact", "asked"]);
  });

  test("without the person's time, or with one that is after its receipt, it counts from the receipt", () => {
    assert.deepEqual(honoured({ occurredAt: null }), [50, "exact", "received"]);
    assert.deepEqual(honoured({ occurredAt: at(11) }), [50, "exact", "received"]);
    assert.deepEqual(honoured({ occurredAt: "yesterday" }), [50, "exact", "received"]);
  });

  test("where a restart lost an acknowledgement's time, the time it was final is the bound", () => {
    const environments = [accepted("production", at(30)), accepted("us-west", null)];
    assert.deepEqual(honoured({ environments }), [61, "at_most", "asked"]);
  });

  test("refused by one environment, by all, or asked of none, it isn't honoured", () => {
    const environments = [accepted("production", at(30)), refused("us-west")];
    assert.deepEqual(honoured({ environments, outcome: "partially_delivered" }), [null, null, "asked"]);
    assert.deepEqual(honoured({ environments: [], outcome: "rejected" }), [null, null, "asked"]);
    assert.deepEqual(honoured({ environments: [] }), [null, null, "asked"]);
  });

  test("an acknowledgement before its event, by clocks that differ, took no time", () => {
    const environments = [accepted("production", at(5))];
    assert.deepEqual(honoured({ environments, occurredAt: null }), [0, "exact", "received"]);
  });

  test("times are told in UTC, whatever the producer wrote", () => {
    const { askedAt } = optOutOf(statusOf(1, { occurredAt: "2026-03-01T10:00:00.123456+01:00" }), {
      reveal: false,
    });
    assert.equal(askedAt, "2026-03-01T09:00:00.123Z");
  });

  test("a phone shows two digits, in an event id that was made of it too, unless it is revealed", () => {
    const phoneAndId = (eventId: string, reveal: boolean, phone: string | null = PHONE) => {
      const optOut = optOutOf(statusOf(1, { eventId, phone }), { reveal });
      return [optOut.phone, optOut.eventId];
    };
    assert.deepEqual(phoneAndId("web-212-555-0123", false), ["+*********23", "***-***-***-**23"]);
    assert.deepEqual(phoneAndId("web-212-555-0123", true), [PHONE, "web-212-555-0123"]);
    assert.deepEqual(phoneAndId("call-17", false), ["+*********23", "call-17"]);
    assert.deepEqual(phoneAndId("(212) 555-01", false, null), [null, "(***) ***-01"]);
    assert.equal(optOutOf(statusOf(1, { source: "212.555.0123" }), { reveal: false }).source, "***.***.**23");
  });

  test("a status whose origin has no time belongs to no period", () => {
    const status = statusOf(1);
    assert.equal(isTimed(status), true);
    assert.equal(isTimed({ ...status, origin: { ...status.origin, timestamp: "soon" } }), false);
  });
});
