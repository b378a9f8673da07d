import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type FetchedRecord, hideAborted } from "../../src/kafka/aborted.ts";

const ABORT = Buffer.from([0, 0, 0, 0]);
const COMMIT = Buffer.from([0, 0, 0, 1]);

const record = (offset: number, producerId: string, key: Buffer | null = null): FetchedRecord => ({
  ...{ offset: String(offset), key, isControlRecord: false },
  batchContext: { producerId, inTransaction: true },
});
const marker = (offset: number, producerId: string, key: Buffer): FetchedRecord => ({
  ...record(offset, producerId, key),
  isControlRecord: true,
});

const visible = (messages: FetchedRecord[], abortedTransactions: [producerId: string, first: number][]) => {
  const partition = {
    messages,
    abortedTransactions: abortedTransactions.map(([producerId, first]) => ({
      producerId,
      firstOffset: String(first),
    })),
  };
  hideAborted(partition);
  assert.deepEqual(partition.abortedTransactions, [], "nothing is left for kafkajs to do");
  return partition.messages
    .filter(({ isControlRecord }) => !isControlRecord)
    .map(({ offset }) => Number(offset));
};

test("of transactions that overlap, none is seen that was aborted, in whatever order they ended", () => {
  const messages = () => [
    record(10, "slow"),
    record(11, "quick"),
    record(12, "other"),
    marker(13, "quick", ABORT),
    record(14, "slow"),
    marker(15, "slow", ABORT),
    marker(16, "other", COMMIT),
  ];
  const ended: [string, number][] = [
    ["quick", 11],
    ["slow", 10],
  ];
  assert.deepEqual(visible(messages(), ended), [12]);
  assert.deepEqual(visible(messages(), ended.toReversed()), [12]);
});

test("several that had begun before the first record read are all known with it", () => {
  const messages = [
    record(20, "second"),
    record(21, "first"),
    marker(22, "first", ABORT),
    marker(23, "second", ABORT),
  ];
  assert.deepEqual(
    visible(messages, [
      ["first", 3],
      ["second", 5],
    ]),
    [],
  );
});

test("what a producer commits after an abort is seen", () => {
  const messages = [
    record(1, "p"),
    marker(2, "p", ABORT),
    record(3, "p"),
    marker(4, "p", COMMIT),
    record(5, "p"),
  ];
  assert.deepEqual(visible(messages, [["p", 1]]), [3, 5]);
});

test("a record with the key of an abort marker ends nothing", () => {
  const messages = [record(1, "p", ABORT), record(2, "p"), marker(3, "p", ABORT)];
  assert.deepEqual(visible(messages, [["p", 1]]), []);
});

/** Transactions of producers that take turns at random, each at last committed or aborted. */
const history = fc
  .array(
    fc.record({ producer: fc.constantFrom("a", "b", "c"), deed: fc.constantFrom("send", "commit", "abort") }),
    { minLength: 1, maxLength: 60 },
  )
  .map((steps) => {
    const messages: FetchedRecord[] = [];
    const open = new Map<string, number[]>();
    const committed: number[] = [];
    const aborted: { producer: string; first: number; end: number }[] = [];
    for (const { producer, deed } of [
      ...steps,
      ...["a", "b", "c"].map((each) => ({ producer: each, deed: "abort" })),
    ]) {
      const offset = messages.length;
      const sent = open.get(producer) ?? [];
      if (deed === "send") {
        messages.push(record(offset, producer));
        open.set(producer, [...sent, offset]);
      } else if (sent[0] !== undefined) {
        messages.push(marker(offset, producer, deed === "abort" ? ABORT : COMMIT));
        if (deed === "commit") committed.push(...sent);
        else aborted.push({ producer, first: sent[0], end: offset });
        open.delete(producer);
      }
    }
    return { messages, committed, aborted };
  });

test("whatever transactions there were and wherever reading begins, what is seen is what was committed", () => {
  fc.assert(
    fc.property(history, fc.nat(60), ({ messages, committed, aborted }, from) => {
      // The broker names those that ended at or after the first record, in the order of their ends.
      const named = aborted
        .filter(({ end }) => end >= from)
        .map(({ producer, first }): [string, number] => [producer, first]);
      const wanted = committed.filter((offset) => offset >= from).sort((a, b) => a - b);
      assert.deepEqual(visible(messages.slice(from), named), wanted);
    }),
    { numRuns: 2_000 },
  );
});
