import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Answer, Dialect, EntryOutcome, Submission } from "../../src/delivery/dialects/dialect.ts";
import { acceptance, batchOf, createFixture, held, type Received, takeAll } from "./delivery-lane-fixture.ts";

const placesOf = ({ phones }: Pick<Received, "phones">): number[] =>
  phones.map((phone) => Number(phone.slice(-3)));

describe("lane: pieces of a batch", () => {
  test("go out only once the split is recorded", async (t) => {
    const respond = (received: Received) =>
      received.phones.length > 2 ? { status: 413 } : takeAll(received);
    const { deliver, settle, requests, lane } = createFixture(t, { respond });
    const delivery = deliver(batchOf(4), { records: false });
    await settle();
    assert.equal(requests.length, 1);
    assert.deepEqual(delivery.split, ["pending", "pending"]);
    assert.equal(delivery.unrecorded.length, 1);
    assert.deepEqual([lane.state().queued, lane.state().inFlight], [0, 0]);
    delivery.unrecorded[0]?.();
    await settle();
    assert.deepEqual(requests.slice(1).map(placesOf), [
      [0, 1],
      [2, 3],
    ]);
    assert.equal(delivery.split, "acknowledged");
    assert.deepEqual(acceptance(batchOf(4), delivery.outcomes), [true, true, true, true]);
  });

  test("never go out if the lane was reset before the split was recorded", async (t) => {
    const { deliver, settle, requests, lane } = createFixture(t, {
      respond: (received) => (received.phones.length > 2 ? { status: 413 } : takeAll(received)),
    });
    const delivery = deliver(batchOf(4), { records: false });
    await settle();
    lane.reset();
    delivery.unrecorded[0]?.();
    await settle();
    assert.equal(requests.length, 1);
    assert.equal(delivery.outcomes, undefined);
  });

  test("that the ledger has as acknowledged aren't sent again, and the whole neither", async (t) => {
    const { deliver, settle, requests } = createFixture(t);
    const delivery = deliver(batchOf(8), {
      split: ["acknowledged", ["pending", ["acknowledged", "pending"]]],
    });
    await settle();
    assert.deepEqual(requests.map(placesOf), [[4, 5], [7]]);
    assert.deepEqual(
      delivery.outcomes?.map(({ from, to, accepted }) => [from, to, accepted]),
      [
        [4, 6, true],
        [7, 8, true],
      ],
    );
    assert.equal(delivery.split, "acknowledged");
  });

  test("all acknowledged before, end the delivery at once", (t) => {
    const { deliver } = createFixture(t);
    assert.deepEqual(deliver(batchOf(2), { split: "acknowledged" }).outcomes, []);
  });

  test("taken are told one by one, so that a crash doesn't repeat them", async (t) => {
    const environment = held();
    const { deliver, settle } = createFixture(t, {
      respond: (received) => (received.phones.length > 2 ? { status: 400 } : environment.respond(received)),
    });
    const delivery = deliver(batchOf(4));
    await settle();
    assert.deepEqual(delivery.split, ["pending", "pending"]);
    environment.waiting[1]?.give();
    await settle();
    assert.deepEqual(delivery.split, ["pending", "acknowledged"]);
    environment.waiting[0]?.give({ status: 422 });
    await settle();
    assert.deepEqual(delivery.split, [["pending", "pending"], "acknowledged"]);
  });

  test("refused stay pending in the ledger: after a crash they are refused again, for the status to say why", async (t) => {
    const { deliver, settle } = createFixture(t, {
      respond: (received) => (placesOf(received).includes(1) ? { status: 422 } : takeAll(received)),
    });
    const delivery = deliver(batchOf(2));
    await settle();
    assert.deepEqual(acceptance(batchOf(2), delivery.outcomes), [true, false]);
    assert.deepEqual(delivery.split, ["acknowledged", "pending"]);
  });
});

/** A dialect whose answers speak of each entry. */
const perEntry = (
  outcomesOf: (submission: Submission) => EntryOutcome[],
  more: Partial<Dialect> & { answer?: Partial<Answer> } = {},
): Dialect & { submissions: Submission[] } => {
  const submissions: Submission[] = [];
  const { answer, ...rest } = more;
  return {
    maxEntries: Number.POSITIVE_INFINITY,
    scope: undefined,
    requestToken: async () => ({ ok: true, token: { value: "t", lifetime: undefined } }),
    async submit(_send, submission) {
      submissions.push(submission);
      const verdict = { kind: "entries" as const, outcomes: outcomesOf(submission) };
      return { verdict, httpStatus: 200, requestId: "r-1", ...answer };
    },
    submissions,
    ...rest,
  };
};

const sent = ({ submissions }: { submissions: Submission[] }): number[][] =>
  submissions.map(({ entries }) => placesOf({ phones: entries.map(({ phone }) => phone) }));

const outcomesBy =
  (outcomeOf: (place: number, alone: boolean) => EntryOutcome) =>
  ({ entries }: Submission): EntryOutcome[] =>
    entries.map(({ phone }) => outcomeOf(Number(phone.slice(-3)), entries.length === 1));

describe("lane: answers that speak of each entry", () => {
  test("those taken are acknowledged, those refused rejected, the others sent again by themselves", async (t) => {
    const dialect = perEntry(
      outcomesBy((place, alone) => (place === 2 ? "refused" : place === 5 && !alone ? "retry" : "taken")),
      { answer: { detail: "no form" } },
    );
    const { deliver, settle, attempts } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(8));
    await settle();
    assert.deepEqual(sent(dialect), [[0, 1, 2, 3, 4, 5, 6, 7], [5]]);
    assert.deepEqual(
      acceptance(batchOf(8), delivery.outcomes),
      [0, 1, 2, 3, 4, 5, 6, 7].map((place) => place !== 2),
    );
    const rejection = delivery.outcomes?.find(({ accepted }) => !accepted);
    assert.deepEqual([rejection?.from, rejection?.to, rejection?.detail], [2, 3, "no form"]);
    assert.ok(delivery.outcomes?.every(({ accepted, detail }) => accepted === (detail === null)));
    assert.deepEqual(attempts, ["entries", "entries"]);
  });

  test("what must be sent again waits for the ledger; what was taken is in it", async (t) => {
    const dialect = perEntry(outcomesBy((place, alone) => (place === 1 && !alone ? "retry" : "taken")));
    const { deliver, settle } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(4), { records: false });
    await settle();
    assert.deepEqual(delivery.split, [["acknowledged", "pending"], "acknowledged"]);
    assert.equal(dialect.submissions.length, 1);
    delivery.unrecorded[0]?.();
    await settle();
    assert.deepEqual(sent(dialect).at(-1), [1]);
    assert.equal(delivery.split, "acknowledged");
  });

  test("a request of which nothing was taken is halved, until its entries stand alone", async (t) => {
    const dialect = perEntry(outcomesBy((_, alone) => (alone ? "refused" : "retry")));
    const { deliver, settle } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(4));
    for (let turn = 0; turn < 10; turn++) await settle();
    assert.deepEqual(sent(dialect), [[0, 1, 2, 3], [0, 1], [2, 3], [0], [1], [2], [3]]);
    assert.deepEqual(acceptance(batchOf(4), delivery.outcomes), [false, false, false, false]);
  });

  test("an answer with another number of outcomes than entries is no answer about them", async (t) => {
    const dialect = perEntry(({ entries }) =>
      entries.length === 4 ? ["taken"] : entries.map(() => "taken"),
    );
    const { deliver, settle } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(4));
    await settle();
    assert.deepEqual(sent(dialect), [
      [0, 1, 2, 3],
      [0, 1],
      [2, 3],
    ]);
    assert.deepEqual(acceptance(batchOf(4), delivery.outcomes), [true, true, true, true]);
  });

  test("entries refused without a request count as no attempt", async (t) => {
    const dialect = perEntry(
      outcomesBy(() => "refused"),
      { answer: { httpStatus: null, requestId: null, detail: "no form" } },
    );
    const { deliver, settle, attempts } = createFixture(t, { dialect });
    const delivery = deliver(batchOf(2));
    await settle();
    assert.deepEqual(attempts, []);
    assert.deepEqual(
      delivery.outcomes?.map(({ accepted, httpStatus, detail }) => [accepted, httpStatus, detail]),
      [[false, null, "no form"]],
    );
  });

  test("a batch larger than the dialect takes goes in as few requests as can be, each recorded when taken", async (t) => {
    const dialect = perEntry(
      outcomesBy(() => "taken"),
      { maxEntries: 100 },
    );
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

describe("lane: paused by an operator", () => {
  test("starts nothing, finishes what is under way, and says since when", async (t) => {
    const environment = held();
    const { deliver, settle, advance, lane, requests } = createFixture(t, {
      respond: environment.respond,
      maxConcurrency: 1,
    });
    const first = deliver(batchOf(1));
    const second = deliver(batchOf(1, { first: 1 }));
    await settle();
    lane.pause();
    assert.deepEqual(lane.state().closure, { reason: "paused", since: 1_000_000, until: null });
    environment.giveAll();
    await advance(3_600_000, 60_000);
    assert.ok(first.outcomes);
    assert.equal(requests.length, 1);
    lane.pause();
    assert.equal(
      lane.state().closure?.since,
      1_000_000,
      "paused again, it is still paused since the first time",
    );
    lane.resume();
    await settle();
    assert.equal(lane.state().closure, null);
    environment.giveAll();
    await settle();
    assert.ok(second.outcomes);
  });

  test("stays paused when its partitions are assigned anew", async (t) => {
    const { deliver, settle, lane, requests } = createFixture(t);
    lane.pause();
    lane.reset();
    lane.setShare(0.5);
    lane.wake();
    deliver(batchOf(1));
    await settle();
    assert.equal(requests.length, 0);
    lane.resume();
    await settle();
    assert.equal(requests.length, 1);
  });
});
