import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { OutgoingRecord, TopicRecords } from "../../src/kafka/outgoing.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { createPublisher, type OutgoingMessage } from "../../src/relay/publisher.ts";

const message = (topic: string, key: string, value: string | null = key): OutgoingMessage => ({
  topic,
  message: { key, value: value === null ? null : Buffer.from(value), headers: { original: "kept" } },
});

type Answer = (records: readonly TopicRecords[]) => Promise<void> | void;

/** A publisher over a producer that gives these answers in turn, the last one again and again; retries don't wait. */
function publisherOver(t: TestContext, ...answers: Answer[]) {
  t.mock.method(Math, "random", () => 0);
  const sent: TopicRecords[][] = [];
  let failures = 0;
  const publisher = createPublisher({
    brokers: ["kafka-1:9092"],
    producer: {
      connect: async () => {},
      disconnect: async () => {},
      async send(records) {
        sent.push([...records]);
        await answers[Math.min(sent.length, answers.length) - 1]?.(records);
      },
    },
    onFailure: () => failures++,
    logger: silentLogger(),
  });
  return { publisher, sent, failures: () => failures, signal: new AbortController() };
}

const ok: Answer = () => {};
const fail: Answer = () => {
  throw new Error("no broker");
};
const tooLarge = (type: string): Error => Object.assign(new Error(type), { type });
const keysOf = (records: readonly TopicRecords[]) =>
  records.map(({ topic, messages }) => `${topic}: ${messages.map(({ key }) => key).join(" ")}`);

/** Refuses requests that hold a record of more than `limit` bytes, as a broker does: whole. */
const bounded =
  (limit: number, type = "MESSAGE_TOO_LARGE"): Answer =>
  (records) => {
    const isLarge = ({ value }: OutgoingRecord) => (value?.length ?? 0) > limit;
    if (records.some(({ messages }) => messages.some(isLarge))) throw tooLarge(type);
  };

describe("publishing results", () => {
  test("resolves only once the producer has everything", async (t) => {
    let finish = () => {};
    const hold: Answer = () => new Promise<void>((resolve) => (finish = resolve));
    const { publisher, signal, failures } = publisherOver(t, hold);
    let published: boolean | undefined;
    const done = publisher
      .publish(() => [message("status", "a")], signal.signal)
      .then((value) => {
        published = value;
      });
    await nextTurn();
    assert.equal(published, undefined);
    finish();
    await done;
    assert.equal(published, true);
    assert.equal(failures(), 0);
  });

  test("sends what waits meanwhile in one request, by topic and in order", async (t) => {
    const { publisher, sent, signal } = publisherOver(t, () => nextTurn(), ok);
    const results = await Promise.all([
      publisher.publish(() => [message("status", "a")], signal.signal),
      publisher.publish(() => [message("status", "b"), message("dead", "b")], signal.signal),
      publisher.publish(() => [message("status", "c"), message("status", "d")], signal.signal),
    ]);
    assert.deepEqual(results, [true, true, true]);
    assert.deepEqual(sent.map(keysOf), [["status: a"], ["status: b c d", "dead: b"]]);
  });

  test("goes on after a pause, and takes nothing to publish for published", async (t) => {
    const { publisher, sent, signal } = publisherOver(t, ok);
    assert.equal(await publisher.publish(() => [message("status", "a")], signal.signal), true);
    assert.equal(await publisher.publish(() => [message("status", "b")], signal.signal), true);
    assert.deepEqual(sent.map(keysOf), [["status: a"], ["status: b"]]);
    assert.equal(await publisher.publish(() => [], signal.signal), true);
  });

  test("tries again until it succeeds, all of it, and counts each failure", async (t) => {
    const { publisher, sent, failures, signal } = publisherOver(t, fail, fail, fail, ok);
    assert.equal(
      await publisher.publish(() => [message("status", "a"), message("dead", "a")], signal.signal),
      true,
    );
    assert.equal(failures(), 3);
    assert.deepEqual(sent.map(keysOf), Array(4).fill(["status: a", "dead: a"]));
  });

  test("has what waits written when it is its turn, once", async (t) => {
    let finish = () => {};
    const hold: Answer = () => new Promise<void>((resolve) => (finish = resolve));
    const { publisher, sent, signal } = publisherOver(t, hold, fail, ok);
    const written: string[] = [];
    const publish = (key: string) =>
      publisher.publish(() => {
        written.push(key);
        return [message("status", key)];
      }, signal.signal);
    const both = [publish("a"), publish("b")];
    await nextTurn();
    assert.deepEqual(written, ["a"]);
    finish();
    assert.deepEqual(await Promise.all(both), [true, true]);
    assert.deepEqual(written, ["a", "b"]);
    assert.equal(sent.length, 3, "b failed once");
  });

  test("gives up what is void and publishes the rest", async (t) => {
    const void1 = new AbortController();
    const abortThenFail: Answer = () => {
      void1.abort();
      throw new Error("no broker");
    };
    const { publisher, sent, signal } = publisherOver(t, () => nextTurn(), abortThenFail, ok);
    const results = await Promise.all([
      publisher.publish(() => [message("status", "first")], signal.signal),
      publisher.publish(() => [message("status", "lost")], void1.signal),
      publisher.publish(() => [message("status", "kept")], signal.signal),
    ]);
    assert.deepEqual(results, [true, false, true]);
    assert.deepEqual(sent.map(keysOf), [["status: first"], ["status: lost kept"], ["status: kept"]]);
  });

  test("sends nothing for a partition that was void before", async (t) => {
    const { publisher, sent } = publisherOver(t, ok);
    assert.equal(await publisher.publish(() => [message("status", "a")], AbortSignal.abort()), false);
    assert.deepEqual(sent, []);
  });

  for (const type of ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"]) {
    test(`after ${type}, a record too large by itself goes without its value and says so; the others are whole`, async (t) => {
      const { publisher, sent, failures, signal } = publisherOver(t, bounded(10, type));
      const messages = [message("status", "a"), message("dead", "b", "x".repeat(11)), message("status", "c")];
      assert.equal(await publisher.publish(() => messages, signal.signal), true);
      assert.equal(failures(), 0, "it is no failure to be retried");
      assert.deepEqual(sent.slice(1).map(keysOf), [
        ["status: a", "dead: b"],
        ["status: a"],
        ["dead: b"],
        ["dead: b"],
        ["status: c"],
      ]);
      const [bare] = sent[4] ?? [];
      assert.deepEqual(bare?.messages, [
        { key: "b", value: null, headers: { original: "kept", "optout.value.omitted.bytes": "11" } },
      ]);
      assert.deepEqual(sent[5]?.[0]?.messages[0]?.value, Buffer.from("c"));
    });
  }

  test("records too large only together are sent one by one, whole", async (t) => {
    const onlyOne: Answer = (records) => {
      if (records.flatMap(({ messages }) => messages).length > 1) throw tooLarge("RECORD_LIST_TOO_LARGE");
    };
    const { publisher, sent, signal } = publisherOver(t, onlyOne);
    assert.equal(
      await publisher.publish(() => [message("dead", "a"), message("dead", "b")], signal.signal),
      true,
    );
    const alone = sent.slice(1).map(([topic]) => topic?.messages[0]);
    assert.deepEqual(
      alone.map((each) => String(each?.value)),
      ["a", "b"],
    );
  });

  test("a failure in the middle of sending one by one is retried with what is left", async (t) => {
    const { publisher, sent, failures, signal } = publisherOver(
      t,
      bounded(10),
      ok,
      bounded(10),
      fail,
      bounded(10),
    );
    const messages = [message("status", "a"), message("dead", "b", "x".repeat(11))];
    assert.equal(await publisher.publish(() => messages, signal.signal), true);
    assert.equal(failures(), 1);
    assert.deepEqual(sent.map(keysOf), [
      ["status: a", "dead: b"],
      ["status: a"],
      ["dead: b"],
      ["dead: b"],
      ["dead: b"],
      ["dead: b"],
    ]);
    const last = sent.at(-1)?.[0]?.messages[0];
    assert.equal(last?.value, null);
  });

  test("the error is found wherever kafkajs has wrapped it", async (t) => {
    const wrapped: Answer = (records) => {
      if ((records[0]?.messages[0]?.value?.length ?? 0) > 10) {
        throw new Error("retries exhausted", { cause: tooLarge("MESSAGE_TOO_LARGE") });
      }
    };
    const { publisher, sent, signal } = publisherOver(t, wrapped);
    assert.equal(await publisher.publish(() => [message("dead", "b", "x".repeat(11))], signal.signal), true);
    assert.equal(sent.at(-1)?.[0]?.messages[0]?.value, null);
  });
});
