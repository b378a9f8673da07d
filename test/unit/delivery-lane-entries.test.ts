import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Answer, Dialect, EntryOutcome, Submission } from "../../src/delivery/dialects/dialect.ts";
import type { PartOutcome } from "../../src/delivery/lane.ts";
import { acceptance, batchOf, createFixture } from "./delivery-lane-fixture.ts";

type Kind = EntryOutcome["kind"] | "unsent";

const outcome = (kind: Kind, place: number): EntryOutcome => {
  if (kind === "taken") return { kind };
  if (kind === "retry") return { kind, detail: `not added: ${place}` };
  return { kind: "refused", detail: `${kind} ${place}`, sent: kind === "refused" };
};

const placesOf = ({ entries }: Submission): number[] => entries.map(({ phone }) => Number(phone.slice(-3)));

/** A dialect whose answers speak of each entry. */
function perEntry(
  kindOf: (place: number, submission: Submission) => Kind,
  { answer, ...more }: Partial<Dialect> & { answer?: Partial<Answer> } = {},
): Dialect & { submissions: Submission[]; sent(): number[][] } {
  const submissions: Submission[] = [];
  return {
    maxEntries: Number.POSITIVE_INFINITY,
    scope: undefined,
    requestToken: async () => ({ ok: true, token: { value: "t", lifetime: undefined } }),
    async submit(_send, submission) {
      submissions.push(submission);
      const outcomes = placesOf(submission).map((place) => outcome(kindOf(place, submission), place));
      return { verdict: { kind: "entries", outcomes }, httpStatus: 200, requestId: "r-1", ...answer };
    },
    submissions,
    sent: () => submissions.map(placesOf),
    ...more,
  };
}

describe("lane: answers that speak of each entry", () => {
  test("those taken are acknowledged, those refused rejected, the others sent again by themselves", async (t) => {
    const dialect = perEntry((place, { entries }) => {
      if (place === 2) return "refused";
      return place === 5 && entries.length > 1 ? "retry" : "taken";
    });
    const { deliver, settle, attempts } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(8));
    await settle();
    assert.deepEqual(dialect.sent(), [[0, 1, 2, 3, 4, 5, 6, 7], [5]]);
    assert.deepEqual(
      acceptance(batchOf(8), delivery.outcomes),
      [0, 1, 2, 3, 4, 5, 6, 7].map((place) => place !== 2),
    );
    assert.deepEqual(attempts, ["entries", "entries"]);
  });

  test("each rejected entry has its own reason, and says whether it was sent", async (t) => {
    const kinds: Kind[] = ["unsent", "taken", "refused", "unsent"];
    const dialect = perEntry((place) => kinds[place] ?? "taken");
    const { deliver, settle } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(4));
    await settle();
    assert.deepEqual(
      delivery.outcomes?.map(({ from, to, detail, httpStatus, requestId, attempts }) => ({
        ...{ from, to, detail, httpStatus, requestId, attempts },
      })),
      [
        { from: 0, to: 1, detail: "unsent 0", httpStatus: null, requestId: null, attempts: 0 },
        { from: 1, to: 2, detail: null, httpStatus: 200, requestId: "r-1", attempts: 1 },
        { from: 2, to: 3, detail: "refused 2", httpStatus: 200, requestId: "r-1", attempts: 1 },
        { from: 3, to: 4, detail: "unsent 3", httpStatus: null, requestId: null, attempts: 0 },
      ],
    );
  });

  test("what must be sent again waits for the ledger; what was taken is in it", async (t) => {
    const dialect = perEntry((place, { entries }) => (place === 1 && entries.length > 1 ? "retry" : "taken"));
    const { deliver, settle } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(4), { records: false });
    await settle();
    assert.deepEqual(delivery.split, [["acknowledged", "pending"], "acknowledged"]);
    assert.equal(dialect.submissions.length, 1);
    delivery.unrecorded[0]?.();
    await settle();
    assert.deepEqual(dialect.sent().at(-1), [1]);
    assert.equal(delivery.split, "acknowledged");
  });

  test("an answer with another number of outcomes than entries is no answer about them", async (t) => {
    const dialect = perEntry(() => "taken");
    const submit: Dialect["submit"] = async (send, submission, signal) => {
      const answer = await dialect.submit(send, submission, signal);
      const isWrong = submission.entries.length === 4;
      return isWrong ? { ...answer, verdict: { kind: "entries", outcomes: [{ kind: "taken" }] } } : answer;
    };
    const { deliver, settle } = createFixture(t, { dialect: { ...dialect, submit } });
    const delivery = deliver(batchOf(4));
    await settle();
    assert.deepEqual(dialect.sent(), [
      [0, 1, 2, 3],
      [0, 1],
      [2, 3],
    ]);
    assert.deepEqual(acceptance(batchOf(4), delivery.outcomes), [true, true, true, true]);
  });

  test("entries refused without a request count as no attempt", async (t) => {
    const dialect = perEntry(() => "unsent", { answer: { httpStatus: null, requestId: null } });
    const { deliver, settle, attempts } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(2));
    await settle();
    assert.deepEqual(attempts, []);
    assert.deepEqual(acceptance(batchOf(2), delivery.outcomes), [false, false]);
  });

  test("a batch larger than the dialect takes goes in as few requests as can be, each recorded when taken", async (t) => {
    const dialect = perEntry(() => "taken", { maxEntries: 100 });
    const { deliver, settle } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(250));
    await settle();
    assert.deepEqual(
      dialect.submissions.map(({ entries }) => entries.length),
      [100, 100, 50],
    );
    assert.equal(new Set(dialect.submissions.map(({ key }) => key)).size, 3);
    assert.equal(delivery.split, "acknowledged");
    assert.ok(acceptance(batchOf(250), delivery.outcomes).every((accepted) => accepted));
  });
});

describe("lane: entries that fail", () => {
  test("beside others that were taken, one is tried three times by itself, and then refused with its reason", async (t) => {
    const dialect = perEntry((place) => (place === 3 ? "retry" : "taken"));
    const { deliver, settle, advance, lane } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(50));
    await settle();
    assert.ok(delivery.outcomes === undefined);
    await advance(10_000, 100);
    assert.deepEqual(dialect.sent().slice(1), [[3], [3], [3]]);
    assert.deepEqual(
      acceptance(batchOf(50), delivery.outcomes),
      batchOf(50).entries.map((_, place) => place !== 3),
    );
    const details = (delivery.outcomes as PartOutcome[] | undefined)?.flatMap(({ detail }) => detail ?? []);
    assert.deepEqual(details, ["not added: 3"]);
    assert.equal(lane.state().closure, null, "many of these don't close the lane: the environment is well");
  });

  test("many of one batch are refused, and the lane stays open", async (t) => {
    const dialect = perEntry((place) => (place % 2 === 0 ? "retry" : "taken"));
    const { deliver, advance, lane } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(50));
    await advance(20_000, 100);
    assert.deepEqual(
      acceptance(batchOf(50), delivery.outcomes),
      batchOf(50).entries.map((_, place) => place % 2 === 1),
    );
    assert.equal(lane.state().closure, null);
  });

  test("for a while, all of them, are rejected by nobody: the lane closes, and all are taken later", async (t) => {
    let isWell = false;
    const dialect = perEntry(() => (isWell ? "taken" : "retry"));
    const { deliver, advance, lane, logs } = createFixture(t, { dialect });
    const deliveries = Array.from({ length: 20 }, (_, index) => deliver(batchOf(50, { first: index * 50 })));
    await advance(30_000, 100);
    assert.equal(lane.state().closure?.reason, "entries_failed");
    const [closed] = logs.filter(({ level }) => level === "warn");
    assert.match(String(closed?.msg), /takes none of the entries; look at the do-not-call list itself/);
    isWell = true;
    await advance(120_000, 250);
    assert.equal(lane.state().closure, null);
    for (const [index, { outcomes }] of deliveries.entries()) {
      assert.ok(acceptance(batchOf(50, { first: index * 50 }), outcomes).every((accepted) => accepted));
    }
  });

  test("alone, with nothing to compare it with, one is refused after eight times", async (t) => {
    const dialect = perEntry(() => "retry");
    const { deliver, advance } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(1));
    await advance(10_000, 100);
    assert.equal(delivery.outcomes, undefined);
    await advance(600_000, 1_000);
    assert.equal(dialect.submissions.length, 8);
    assert.deepEqual(acceptance(batchOf(1), delivery.outcomes), [false]);
  });

  test("that pass on their own are taken", async (t) => {
    let left = 2;
    const dialect = perEntry((place) => (place === 1 && left-- > 0 ? "retry" : "taken"));
    const { deliver, advance } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(3));
    await advance(10_000, 100);
    assert.deepEqual(dialect.sent(), [[0, 1, 2], [1], [1]]);
    assert.deepEqual(acceptance(batchOf(3), delivery.outcomes), [true, true, true]);
  });
});
