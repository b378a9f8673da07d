import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { OptoutError } from "../../src/errors.ts";
import type { Letter } from "../../src/redrive/letter.ts";
import { createGatherer, planOf, type Selection } from "../../src/redrive/plan.ts";

const TOPIC = "opt-outs";
const EVERYTHING: Selection = { reasons: [], environments: [] };
const NONE = new Map<string, number>();
/** Redriven after all of them were rejected. */
const after = (...statusIds: string[]) => new Map(statusIds.map((id) => [id, 100]));

/** The letter of an event of partition 0; `at` and its own offset are the event's offset unless given. */
function letter(eventOffset: number, more: Partial<Letter> = {}): Letter {
  const statusId = `${TOPIC}:0:${eventOffset}`;
  return {
    partition: 0,
    offset: eventOffset,
    at: eventOffset,
    statusId,
    origin: statusId,
    ...{ eventId: null, source: null },
    redriven: 0,
    detail: "why",
    event: { topic: TOPIC, partition: 0 },
    reason: "invalid_phone",
    environment: null,
    isWhole: true,
    isEmpty: false,
    digest: "its bytes",
    ...more,
  };
}

const refusal = (eventOffset: number, environment: string, more: Partial<Letter> = {}): Letter =>
  letter(eventOffset, { reason: "refused_by_environment", environment, ...more });

function gathered(letters: readonly (Letter | undefined)[], selection: Selection = EVERYTHING) {
  const gatherer = createGatherer(selection, TOPIC);
  for (const each of letters) gatherer.add(each);
  return gatherer.result();
}

const ids = (events: readonly { letter: Letter }[]): string[] =>
  events.map((event) => event.letter.statusId.replace(`${TOPIC}:0:`, ""));

describe("which events a redrive sends", () => {
  test("an event that several environments refused is sent once, with all it was refused for", () => {
    const { events, letters } = gathered([
      refusal(5, "us-west", { at: 20 }),
      letter(6),
      refusal(5, "production", { offset: 9, at: 10 }),
      refusal(5, "us-west", { offset: 10 }),
    ]);
    assert.equal(letters, 4);
    const plan = planOf(events, NONE, 10);
    assert.deepEqual(
      plan.events.map(({ letter: { offset }, at, refusals }) => ({ offset, at, refusals })),
      [
        {
          offset: 5,
          at: 5,
          refusals: [
            { reason: "refused_by_environment", environment: "us-west" },
            { reason: "refused_by_environment", environment: "production" },
          ],
        },
        { offset: 6, at: 6, refusals: [{ reason: "invalid_phone", environment: null }] },
      ],
    );
  });

  test("reason, environment and time select: any of several names, and all that is given", () => {
    const all = [
      letter(1),
      letter(2, { reason: "undecodable" }),
      refusal(3, "us-west"),
      refusal(4, "production"),
      refusal(5, "eu-central"),
    ];
    const selected = (selection: Partial<Selection>) =>
      ids(gathered(all, { ...EVERYTHING, ...selection }).events);
    assert.deepEqual(selected({ reasons: ["undecodable"] }), ["2"]);
    assert.deepEqual(selected({ reasons: ["undecodable", "invalid_phone"] }), ["1", "2"]);
    assert.deepEqual(selected({ environments: ["us-west", "production"] }), ["3", "4"]);
    assert.deepEqual(selected({ environments: ["us-west"], reasons: ["undecodable"] }), []);
    assert.deepEqual(selected({ since: 2, until: 4 }), ["2", "3", "4"]);
    assert.deepEqual(selected({ since: 4, environments: ["us-west", "production"] }), ["4"]);
    assert.deepEqual(selected({}), ["1", "2", "3", "4", "5"]);
  });

  test("letters of other topics, and records that are none, are counted and left alone", () => {
    const result = gathered([
      undefined,
      letter(1, { event: { topic: "other", partition: 0 } }),
      refusal(2, "gone"),
    ]);
    assert.deepEqual([result.foreign, ids(result.events)], [2, ["2"]]);
    assert.deepEqual([...result.environments], ["gone"]);
  });

  test("environments of letters that aren't selected are known too", () => {
    const result = gathered([refusal(1, "a"), refusal(2, "b")], { ...EVERYTHING, environments: ["c"] });
    assert.deepEqual([[...result.environments].sort(), result.letters], [["a", "b"], 0]);
  });

  test("what was redriven before is left out", () => {
    const { events } = gathered([letter(1), letter(2), letter(3)]);
    const plan = planOf(events, after(`${TOPIC}:0:2`), 10);
    assert.deepEqual([ids(plan.events), plan.alreadyRedriven], [["1", "3"], 1]);
  });

  test("what was rejected again after it was redriven is sent from its last round", () => {
    const first = letter(1);
    const second = letter(8, { origin: first.statusId, redriven: 1 });
    const { events } = gathered([second, first]);
    assert.deepEqual(ids(planOf(events, after(first.statusId), 10).events), ["8"]);
    // As with --again, which looks for nothing that was redriven.
    assert.deepEqual(ids(planOf(events, NONE, 10).events), ["8"]);
  });

  test("a letter that lacks something gives way to a whole one of the same event", () => {
    const { events } = gathered([
      refusal(1, "a", { isWhole: false }),
      refusal(1, "b", { offset: 2 }),
      letter(3, { isWhole: false }),
    ]);
    const plan = planOf(events, NONE, 10);
    assert.deepEqual([ids(plan.events), plan.events[0]?.letter.offset], [["1"], 2]);
    assert.deepEqual(ids(plan.incomplete), ["3"]);
  });

  test("the bytes of a last round that wasn't kept whole are those of an earlier one", () => {
    const first = letter(1, { partition: 3, offset: 40, at: 5 });
    const lost = { origin: first.statusId, isWhole: false, digest: "" };
    const { events } = gathered([
      first,
      letter(8, { ...lost, redriven: 1 }),
      letter(9, { ...lost, redriven: 2 }),
    ]);
    for (const redriven of [NONE, after(first.statusId, `${TOPIC}:0:8`)]) {
      const plan = planOf(events, redriven, 10);
      assert.deepEqual(ids(plan.events), ["9"]);
      const [{ letter: sent } = assert.fail()] = plan.events;
      assert.deepEqual([sent.partition, sent.offset, sent.redriven, sent.isWhole], [3, 40, 2, true]);
      assert.deepEqual(plan.incomplete, []);
    }
  });

  test("events that had the same offset, since their topic was made anew, are each sent, and once", () => {
    const day = 86_400_000;
    const old = letter(1, { at: day, digest: "old" });
    const young = letter(1, { at: 9 * day, offset: 2, digest: "young" });
    const again = letter(1, { at: 9 * day, offset: 3, digest: "young", environment: "us-west" });
    const { events } = gathered([old, young, again]);
    const sent = (redriven: ReadonlyMap<string, number>) =>
      planOf(events, redriven, 10).events.map((event) => [event.letter.digest, event.refusals.length]);
    assert.deepEqual(sent(NONE), [
      ["old", 1],
      ["young", 2],
    ]);
    assert.deepEqual(sent(new Map([[old.statusId, 2 * day]])), [["young", 2]]);
    assert.deepEqual(sent(new Map([[old.statusId, 9 * day - 60_000]])), [], "clocks differ by minutes");
  });

  test("the limit takes those rejected first and says how many it leaves", () => {
    const { events } = gathered([letter(1, { at: 30 }), letter(2, { at: 10 }), letter(3, { at: 20 })]);
    const plan = planOf(events, NONE, 2);
    assert.deepEqual([ids(plan.events), plan.left], [["2", "3"], 1]);
  });

  test("run after run with a limit, every event is sent exactly once, whatever the letters", () => {
    const anyLetter = fc
      .record({ event: fc.nat(12), round: fc.nat(2), at: fc.nat(50), environment: fc.constantFrom("a", "b") })
      .map(({ event, round, at, environment }) =>
        refusal(event + 100 * round, environment, { origin: `${TOPIC}:0:${event}`, redriven: round, at }),
      );
    fc.assert(
      fc.property(
        fc.array(anyLetter, { maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        (letters, limit) => {
          const { events } = gathered(letters.map((each, offset) => ({ ...each, offset })));
          // A later round exists only of what was redriven.
          const redriven = after(
            ...events.flatMap(({ letter: { statusId, redriven: round } }) =>
              events.some(
                ({ letter: other }) => other.redriven > round && other.origin === originOf(statusId),
              )
                ? [statusId]
                : [],
            ),
          );
          const sent: string[] = [];
          for (let left = 1; left > 0; ) {
            const plan = planOf(events, redriven, limit);
            left = plan.left;
            assert.ok(plan.events.length <= limit);
            for (const event of plan.events) {
              sent.push(event.letter.origin);
              redriven.set(event.letter.statusId, 100);
            }
          }
          assert.deepEqual([...sent].sort(), [...new Set(events.map((event) => event.letter.origin))].sort());
          assert.deepEqual(planOf(events, redriven, limit).events, []);
        },
      ),
    );
    function originOf(statusId: string): string {
      return `${TOPIC}:0:${Number(statusId.split(":")[2]) % 100}`;
    }
  });

  test("more events than fit in memory are refused, with the way out", () => {
    const gatherer = createGatherer(EVERYTHING, TOPIC, 2);
    for (const offset of [1, 2, 2, 1]) gatherer.add(letter(offset));
    assert.throws(
      () => gatherer.add(letter(3)),
      (error: unknown) =>
        error instanceof OptoutError && error.code === "usage" && /--since/.test(error.message),
    );
  });
});
