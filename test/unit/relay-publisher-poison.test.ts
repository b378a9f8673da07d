import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { IHeaders } from "kafkajs";
import type { OutgoingRecord, TopicRecords } from "../../src/kafka/outgoing.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { createPublisher, type OutgoingMessage } from "../../src/relay/publisher.ts";
import { deadLetterMessage } from "../../src/results/dead-letter.ts";

const LIMIT = 1_024 * 1_024;
const refusal = (type: string): Error => Object.assign(new Error(type), { type });

const status = (id: string): OutgoingMessage => ({
  topic: "status",
  message: { key: id, value: Buffer.from(id) },
});

interface Original {
  key?: Buffer | null;
  value?: Buffer | null;
  headers?: IHeaders;
}

const deadLetter = (
  offset: number,
  { key = null, value = null, headers = {} }: Original,
): OutgoingMessage => ({
  topic: "dead",
  message: deadLetterMessage(
    { topic: "opt-outs", partition: 0, offset, key, value, headers },
    { reason: "empty_value", detail: "no value" },
  ),
});

const sizeOf = ({ key, value, headers = {} }: OutgoingRecord): number =>
  [key, value, ...Object.entries(headers).flat(2)].reduce<number>(
    (sum, part) => sum + (part === null || part === undefined ? 0 : Buffer.byteLength(String(part))),
    0,
  );

/** A publisher over a broker that refuses a request whole if one of its messages isn't `taken`; retries don't wait. */
function publisherOver(
  t: TestContext,
  taken: (message: OutgoingRecord, topic: string) => string | undefined,
) {
  t.mock.method(Math, "random", () => 0);
  const requests: number[] = [];
  const kept: { topic: string; message: OutgoingRecord }[] = [];
  const state = { isDown: false, failures: 0 };
  const publisher = createPublisher({
    brokers: ["kafka-1:9092"],
    producer: {
      connect: async () => {},
      disconnect: async () => {},
      async send(records: readonly TopicRecords[]) {
        await nextTurn();
        if (state.isDown) throw new Error("no broker");
        const all = records.flatMap(({ topic, messages }) => messages.map((message) => ({ topic, message })));
        requests.push(all.length);
        for (const { topic, message } of all) {
          const type = taken(message, topic);
          if (type !== undefined) throw refusal(type);
        }
        kept.push(...all);
      },
    },
    onFailure: () => state.failures++,
    logger: silentLogger(),
  });
  const signal = new AbortController();
  return {
    requests,
    kept,
    state,
    signal,
    publish: (...messages: OutgoingMessage[]) => publisher.publish(() => messages, signal.signal),
    keptKeys: (topic: string) =>
      kept.filter((each) => each.topic === topic).map(({ message }) => String(message.key)),
  };
}

const tooLarge = (message: OutgoingRecord): string | undefined =>
  sizeOf(message) > LIMIT ? "MESSAGE_TOO_LARGE" : undefined;
const large = Buffer.alloc(LIMIT, "x");

const until = async (isSo: () => boolean): Promise<void> => {
  for (let turns = 0; !isSo(); turns++) {
    if (turns > 100_000) throw new Error("it doesn't come to pass");
    await nextTurn();
  }
};

describe("results that a broker doesn't take", () => {
  const poison: [string, Original, Record<string, string>][] = [
    [
      "a huge key",
      { key: large, value: Buffer.from("v") },
      { "optout.key.omitted.bytes": String(LIMIT), "optout.value.omitted.bytes": "1" },
    ],
    [
      "huge headers on a tombstone",
      { headers: { h: large } },
      { "optout.headers.omitted.bytes": String(LIMIT + 1) },
    ],
    [
      "huge headers that look like its own",
      { value: Buffer.from("v"), headers: { "optout.h": large } },
      { "optout.value.omitted.bytes": "1", "optout.headers.omitted.bytes": String(LIMIT + 8) },
    ],
  ];
  for (const [what, original, omitted] of poison) {
    test(`a dead letter with ${what} keeps where it is from and why, and holds nothing up`, async (t) => {
      const { publish, kept, keptKeys, state } = publisherOver(t, tooLarge);
      const published = await Promise.all([
        publish(status("a")),
        publish(status("b"), deadLetter(7, original), status("c")),
        publish(status("d")),
      ]);
      assert.deepEqual(published, [true, true, true]);
      assert.equal(state.failures, 0);
      assert.deepEqual(keptKeys("status"), ["a", "b", "c", "d"]);
      const dead = kept.filter(({ topic }) => topic === "dead").map(({ message }) => message);
      assert.deepEqual(dead, [
        {
          key: null,
          value: null,
          headers: {
            "__connect.errors.topic": "opt-outs",
            "__connect.errors.partition": "0",
            "__connect.errors.offset": "7",
            "__connect.errors.exception.message": "no value",
            "optout.reason": "empty_value",
            ...omitted,
          },
        },
      ]);
    });
  }

  test("one that leaves room without its value keeps its key and headers", async (t) => {
    const { publish, kept } = publisherOver(t, tooLarge);
    const original = { key: Buffer.from("k"), value: large, headers: { h: Buffer.from("1") } };
    assert.equal(await publish(deadLetter(7, original)), true);
    assert.deepEqual(kept[0]?.message.key, Buffer.from("k"));
    assert.equal(kept[0]?.message.value, null);
    assert.deepEqual(kept[0]?.message.headers?.h, Buffer.from("1"));
    assert.equal(kept[0]?.message.headers?.["optout.value.omitted.bytes"], String(LIMIT));
  });

  for (const type of ["MESSAGE_TOO_LARGE", "INVALID_RECORD"]) {
    test(`after ${type} in any form, only its own batch waits, until the topic takes it; nothing is lost`, async (t) => {
      let isStrict = true;
      const { publish, keptKeys, state } = publisherOver(t, (_, topic) =>
        isStrict && topic === "dead" ? type : undefined,
      );
      let stuck: boolean | undefined;
      const first = publish(status("a"));
      const poisoned = publish(
        status("b"),
        deadLetter(1, { key: Buffer.from("1") }),
        status("c"),
        deadLetter(2, { key: Buffer.from("2") }),
        status("d"),
      ).then((published) => {
        stuck = published;
      });
      assert.deepEqual(await Promise.all([first, publish(status("e")), publish(status("f"))]), [
        true,
        true,
        true,
      ]);
      const before = state.failures;
      await until(() => state.failures >= before + 3);
      assert.equal(await publish(status("g")), true);
      assert.equal(stuck, undefined);
      assert.deepEqual(keptKeys("status"), ["a", "b", "e", "f", "g"]);
      isStrict = false;
      await poisoned;
      assert.equal(stuck, true);
      assert.deepEqual(keptKeys("dead"), ["1", "2"], "whole, now that they may be");
      assert.deepEqual(keptKeys("status").sort(), ["a", "b", "c", "d", "e", "f", "g"]);
    });
  }

  test("what waits for its topic ends when its partition goes to another", async (t) => {
    const { publish, signal, state } = publisherOver(t, () => "MESSAGE_TOO_LARGE");
    const published = publish(status("a"));
    await until(() => state.failures > 0);
    signal.abort();
    assert.equal(await published, false);
  });

  test("is found by halving: the others are not sent one by one", async (t) => {
    const { publish, requests, keptKeys } = publisherOver(t, tooLarge);
    const first = publish(status("first"));
    const ids = Array.from({ length: 1_024 }, (_, index) => `s${index}`);
    const all = ids.map((id, index) =>
      index === 700 ? publish(status(id), deadLetter(1, { key: large })) : publish(status(id)),
    );
    assert.ok((await Promise.all([first, ...all])).every((published) => published));
    assert.deepEqual(keptKeys("status"), ["first", ...ids]);
    assert.equal(keptKeys("dead").length, 1);
    assert.ok(requests.length < 30, `${requests.length} requests`);
  });
});

describe("many results at once", () => {
  test("go out in bounded sends, each batch resolved as soon as its own are out", async (t) => {
    const { publish, requests, keptKeys } = publisherOver(t, () => undefined);
    const ids = (name: string, count: number) =>
      Array.from({ length: count }, (_, index) => `${name}${index}`);
    const batches = [ids("a", 1), ids("b", 1_500), ids("c", 1_500), ids("d", 4_500)];
    const keptAtResolve = await Promise.all(
      batches.map(async (batch) => {
        assert.equal(await publish(...batch.map(status)), true);
        return keptKeys("status").length;
      }),
    );
    assert.deepEqual(requests, [1, 2_000, 2_000, 2_000, 1_500]);
    assert.deepEqual(keptAtResolve, [1, 2_001, 4_001, 7_501]);
    assert.deepEqual(keptKeys("status"), batches.flat());
  });

  test("go out a few megabytes at a time", async (t) => {
    const { publish, requests } = publisherOver(t, () => undefined);
    const value = Buffer.alloc(900 * 1_024);
    const letters = Array.from({ length: 10 }, (_, offset) => deadLetter(offset, { value }));
    assert.equal(await publish(...letters), true);
    assert.deepEqual(requests, [4, 4, 2]);
  });

  test("after a failure, only what is left is sent again", async (t) => {
    let sends = 0;
    const { publish, keptKeys, state } = publisherOver(t, () => {
      if (++sends === 3_000) state.isDown = true;
      return undefined;
    });
    const ids = Array.from({ length: 6_000 }, (_, index) => `s${index}`);
    const published = publish(...ids.map(status));
    await until(() => state.failures > 2);
    assert.equal(keptKeys("status").length, 4_000);
    state.isDown = false;
    assert.equal(await published, true);
    assert.deepEqual(keptKeys("status"), ids);
  });
});
