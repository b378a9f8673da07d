import assert from "node:assert/strict";
import { test } from "node:test";
import { bareDeadLetter, deadLetterHeaders, deadLetterMessage } from "../../src/results/dead-letter.ts";

const original = {
  topic: "opt-out-events",
  partition: 3,
  offset: 42,
  timestamp: 1_700_000_000_000,
  key: Buffer.from([0, 255, 1]),
  value: Buffer.from([0xff, 0xfe, 0]),
  headers: {},
};
const details = { reason: "invalid_phone", detail: "not a valid number for region US" };

test("a dead letter is its record, byte for byte, and says where it comes from and why", () => {
  const message = deadLetterMessage(original, details);
  assert.equal(message.key, original.key);
  assert.equal(message.value, original.value);
  assert.deepEqual(message.headers, {
    "__connect.errors.topic": "opt-out-events",
    "__connect.errors.partition": "3",
    "__connect.errors.offset": "42",
    "__connect.errors.exception.message": "not a valid number for region US",
    "optout.reason": "invalid_phone",
  });
  assert.equal(message.timestamp, undefined);
});

test("a refusal names the environment, its attempts and its answer", () => {
  const refused = { ...details, environment: "us-west", attempts: 3, httpStatus: 422 };
  const { headers } = deadLetterMessage(original, refused);
  assert.equal(headers?.["optout.environment"], "us-west");
  assert.equal(headers?.["optout.attempts"], "3");
  assert.equal(headers?.["optout.http.status"], "422");
  const unknown = deadLetterMessage(original, { ...refused, attempts: null, httpStatus: null });
  assert.ok(!Object.hasOwn(unknown.headers ?? {}, "optout.attempts"));
});

test("the record's own headers are kept, those that came several times in full", () => {
  const headers = { traceparent: Buffer.from([1, 2]), tag: [Buffer.from("a"), Buffer.from("b")] };
  const message = deadLetterMessage({ ...original, headers }, details);
  assert.deepEqual(message.headers?.traceparent, Buffer.from([1, 2]));
  assert.deepEqual(message.headers?.tag, [Buffer.from("a"), Buffer.from("b")]);
});

test("a tombstone without a key becomes a tombstone without a key", () => {
  const message = deadLetterMessage({ ...original, key: null, value: null }, details);
  assert.equal(message.key, null);
  assert.equal(message.value, null);
});

test("what an earlier round said gives way", () => {
  const headers = { "optout.reason": Buffer.from("old"), "optout.environment": Buffer.from("gone") };
  const message = deadLetterMessage({ ...original, headers }, details);
  assert.equal(message.headers?.["optout.reason"], "invalid_phone");
  assert.ok(!Object.hasOwn(message.headers ?? {}, "optout.environment"));
});

test("headers that kafkajs chokes on can be sent: null values", () => {
  const headers = {
    empty: null,
    mixed: [Buffer.from("a"), null],
    constructor: [Buffer.from("c")],
    toString: Buffer.from("d"),
  };
  const message = deadLetterMessage({ ...original, headers }, details);
  assert.deepEqual(message.headers?.empty, Buffer.alloc(0));
  assert.deepEqual(message.headers?.mixed, [Buffer.from("a"), Buffer.alloc(0)]);
  assert.deepEqual(message.headers?.constructor, [Buffer.from("c")]);
  assert.deepEqual(message.headers?.toString, Buffer.from("d"));
});

test("a bare dead letter says where its record is and why it is here, and how much was left out", () => {
  const headers = {
    large: Buffer.alloc(1_000),
    several: [Buffer.alloc(10), Buffer.alloc(20)],
    "optout.made.up": Buffer.alloc(5),
    constructor: [Buffer.alloc(3)],
  };
  const whole = deadLetterMessage({ ...original, headers }, { ...details, environment: "us-west" });
  const names = "large several optout.made.up constructor".replaceAll(" ", "").length;
  assert.deepEqual(bareDeadLetter(whole), {
    key: null,
    value: null,
    headers: {
      "__connect.errors.topic": "opt-out-events",
      "__connect.errors.partition": "3",
      "__connect.errors.offset": "42",
      "__connect.errors.exception.message": "not a valid number for region US",
      "optout.reason": "invalid_phone",
      "optout.environment": "us-west",
      "optout.key.omitted.bytes": "3",
      "optout.value.omitted.bytes": "3",
      "optout.headers.omitted.bytes": String(1_038 + names),
    },
  });
});

test("whole and bare dead letters have the headers of the schema, and no others", () => {
  const headers = {
    traceparent: Buffer.from("t"),
    "optout.value.omitted.bytes": Buffer.from("of an earlier round"),
  };
  const refused = { ...details, environment: "us-west", attempts: 3, httpStatus: 422 };
  const whole = deadLetterMessage({ ...original, headers }, refused);
  const bare = bareDeadLetter(whole);
  const { traceparent, ...own } = whole.headers ?? {};
  assert.deepEqual(traceparent, headers.traceparent);
  assert.deepEqual(deadLetterHeaders.strict().parse(own), own);
  assert.deepEqual(deadLetterHeaders.strict().parse(bare?.headers), bare?.headers);
  const all = new Set([...Object.keys(own), ...Object.keys(bare?.headers ?? {})]);
  assert.deepEqual([...all].sort(), Object.keys(deadLetterHeaders.shape).sort());
  const least = deadLetterMessage({ ...original, headers: {} }, details).headers;
  assert.deepEqual(deadLetterHeaders.strict().parse(least), least);
});

test("a bare dead letter of next to nothing has nothing left out, and of a status there is none", () => {
  const tombstone = deadLetterMessage({ ...original, key: null, value: null }, details);
  assert.deepEqual(bareDeadLetter(tombstone), tombstone);
  assert.equal(bareDeadLetter({ key: "+12125550123", value: Buffer.from("{}") }), undefined);
});
