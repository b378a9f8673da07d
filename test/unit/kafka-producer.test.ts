import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "kafkajs";
import { requestsOf } from "../../src/kafka/producer.ts";

const kilobytes = (count: number, key: string): Message => ({ key, value: Buffer.alloc(count * 1024) });
const shape = (records: ReturnType<typeof requestsOf>) =>
  records.map((request) =>
    request.map(({ topic, messages }) => `${topic}:${messages.map(({ key }) => key).join("")}`),
  );

test("few records go in one request, by topic", () => {
  const records = [
    { topic: "a", messages: [kilobytes(1, "1"), kilobytes(1, "2")] },
    { topic: "b", messages: [kilobytes(1, "3")] },
  ];
  assert.deepEqual(shape(requestsOf(records)), [["a:12", "b:3"]]);
  assert.equal(records[0]?.messages.length, 2);
});

test("no request holds more than a broker takes in one record batch, and order is kept", () => {
  const records = [
    { topic: "a", messages: [kilobytes(300, "1"), kilobytes(300, "2"), kilobytes(300, "3")] },
    { topic: "b", messages: [kilobytes(400, "4"), kilobytes(1, "5")] },
  ];
  assert.deepEqual(shape(requestsOf(records)), [["a:12"], ["a:3", "b:45"]]);
});

test("a record larger than that goes alone", () => {
  const records = [{ topic: "a", messages: [kilobytes(1, "1"), kilobytes(900, "2"), kilobytes(1, "3")] }];
  assert.deepEqual(shape(requestsOf(records)), [["a:1"], ["a:2"], ["a:3"]]);
});

test("headers count, tombstones do not hurt, nothing makes no request", () => {
  const headers = { big: [Buffer.alloc(500 * 1024), "x"] };
  const records = [
    {
      topic: "a",
      messages: [
        { key: null, value: null, headers },
        { value: null, headers },
      ],
    },
  ];
  assert.equal(requestsOf(records).length, 2);
  assert.deepEqual(requestsOf([]), []);
  assert.deepEqual(requestsOf([{ topic: "a", messages: [] }]), []);
});
