import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Letter } from "../../src/redrive/letter.ts";
import type { Gathered, Plan, Refusal, RejectedEvent } from "../../src/redrive/plan.ts";
import { describePlan, describeSent, redriveReport } from "../../src/redrive/report.ts";

const AT = Date.parse("2026-03-01T09:00:00Z");
const REFUSED = "refused_by_environment";

function event(offset: number, refusals: Refusal[], more: Partial<Letter> = {}): RejectedEvent {
  const statusId = `opt-outs:0:${offset}`;
  const [first] = refusals;
  const letter: Letter = {
    partition: 0,
    offset,
    at: AT,
    statusId,
    origin: statusId,
    ...{ eventId: `id-${offset}`, source: "web" },
    redriven: 0,
    event: { topic: "opt-outs", partition: 0 },
    reason: first?.reason ?? "invalid_phone",
    detail: `because of ${offset}`,
    environment: first?.environment ?? null,
    isWhole: true,
    isEmpty: false,
    digest: "its bytes",
    ...more,
  };
  return { letter, at: AT + offset * 1_000, refusals };
}

const invalid: Refusal = { reason: "invalid_phone", environment: null };
const west: Refusal = { reason: REFUSED, environment: "us-west" };
const east: Refusal = { reason: REFUSED, environment: "eu-central" };

function planned(events: RejectedEvent[], more: Partial<Plan & Gathered> = {}) {
  const { letters = 9, foreign = 0, environments = new Set<string>(), ...plan } = more;
  const left = { incomplete: [], alreadyRedriven: 0, left: 0, ...plan };
  const matching = [...events, ...left.incomplete];
  return { ...left, events, gathered: { events: matching, letters, foreign, environments } };
}

describe("the report of a redrive", () => {
  const first = event(1, [west, east]);
  const second = event(2, [west]);
  const third = event(3, [invalid], {
    ...{ origin: "opt-outs:0:0", redriven: 1 },
    ...{ eventId: null, source: null },
  });
  const plan = planned([first, second, third]);

  test("counts by reason and environment, and names each event", () => {
    const report = redriveReport("opt-outs", plan, {
      sent: new Set([first.letter, third.letter]),
      refused: new Set([second.letter]),
      failure: undefined,
    });
    assert.deepEqual(report, {
      topic: "opt-outs",
      dryRun: false,
      matching: { deadLetters: 9, events: 3 },
      alreadyRedriven: 0,
      beyondLimit: 0,
      incomplete: [],
      foreign: 0,
      withoutValue: 0,
      sent: 2,
      refused: ["opt-outs:0:2"],
      byReason: [
        { ...invalid, events: 1 },
        { ...east, events: 1 },
        { ...west, events: 2 },
      ],
      events: [
        {
          statusId: "opt-outs:0:1",
          origin: "opt-outs:0:1",
          ...{ eventId: "id-1", source: "web" },
          redriven: 0,
          detail: "because of 1",
          rejectedAt: "2026-03-01T09:00:01.000Z",
          refusals: [west, east],
          sent: true,
        },
        {
          statusId: "opt-outs:0:2",
          origin: "opt-outs:0:2",
          ...{ eventId: "id-2", source: "web" },
          redriven: 0,
          detail: "because of 2",
          rejectedAt: "2026-03-01T09:00:02.000Z",
          refusals: [west],
          sent: false,
        },
        {
          statusId: "opt-outs:0:3",
          origin: "opt-outs:0:0",
          ...{ eventId: null, source: null },
          redriven: 1,
          detail: "because of 3",
          rejectedAt: "2026-03-01T09:00:03.000Z",
          refusals: [invalid],
          sent: true,
        },
      ],
    });
    assert.equal(
      describeSent(report),
      "2 of 3 events sent to opt-outs.\n" +
        "1 event refused by opt-outs: too large (raise its max.message.bytes), or against its other settings (a compacted topic takes none without a key). opt-outs:0:2\n",
    );
  });

  test("shows people a plan as tables", () => {
    assert.equal(
      describePlan(redriveReport("opt-outs", plan, null)),
      `3 events to send to opt-outs, of 3 with dead letters that match.

reason                  environment  events
invalid_phone           -                 1
refused_by_environment  eu-central        1
refused_by_environment  us-west           2

event         event id  source  rejected at               earlier rounds  because
opt-outs:0:1  id-1      web     2026-03-01T09:00:01.000Z               0  because of 1
opt-outs:0:2  id-2      web     2026-03-01T09:00:02.000Z               0  because of 2
opt-outs:0:3  -         -       2026-03-01T09:00:03.000Z               1  because of 3

`,
    );
  });

  test("says what is left out, and why", () => {
    const text = describePlan(
      redriveReport(
        "opt-outs",
        planned([event(1, [invalid], { isEmpty: true })], {
          incomplete: [event(7, [west], { isWhole: false })],
          alreadyRedriven: 4,
          left: 2,
        }),
        null,
      ),
    );
    assert.match(text, /^4 events left out: redriven before \(--again sends them once more\)\.$/m);
    assert.match(text, /^2 events left for another run by --limit\.$/m);
    assert.match(text, /^1 event without a value among them: an empty record is rejected again\.$/m);
    assert.match(text, /^1 event can't be sent again: too large .*--skip-incomplete.*: opt-outs:0:7$/m);
  });

  test("says why there is nothing to send", () => {
    const nothing = (more: Partial<Plan & Gathered>): string =>
      describePlan(redriveReport("opt-outs", planned([], more), null));
    assert.equal(nothing({}), "Nothing to send: no dead letter matches.\n");
    assert.equal(
      nothing({ foreign: 3 }),
      "Nothing to send: no dead letter matches; 3 are of other topics.\n",
    );
    assert.equal(
      nothing({ alreadyRedriven: 1 }),
      "Nothing to send: what matches (1 event) was redriven before (--again sends it once more).\n",
    );
  });

  test("lists a few of many", () => {
    const many = Array.from({ length: 25 }, (_, offset) => event(offset, [invalid]));
    const text = describePlan(redriveReport("opt-outs", planned(many), null));
    assert.match(text, /^opt-outs:0:19 .*\n… and 5 more; --json lists all\.$/m);
    assert.doesNotMatch(text, /opt-outs:0:20/);
  });

  test("tells how far it came when it ended early", () => {
    const done = { sent: new Set([first.letter]), refused: new Set<Letter>(), failure: undefined };
    assert.equal(
      describeSent(redriveReport("opt-outs", plan, done)),
      "1 of 3 events sent to opt-outs.\n" +
        "2 events not sent. Run it again: what was sent is recognised and left out.\n",
    );
  });
});
