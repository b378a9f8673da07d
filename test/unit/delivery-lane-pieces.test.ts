import assert from "node:assert/strict";
import { describe, test } from "node:test";
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
