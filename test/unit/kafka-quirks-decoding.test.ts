import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { registerCodecs } from "../../src/kafka/codecs.ts";
import {
  batch,
  decode,
  GZIP,
  type Headers,
  int8,
  int32,
  int64,
  type Message,
  type Pair,
  record,
  unmendedDecode,
} from "./kafka-fetch-fixture.ts";

const headersOf = async (pairs: readonly Pair[]): Promise<Headers> =>
  (await decode(await batch(0, [record(0, pairs)])))[0]?.headers ?? assert.fail("no message");

/** Milliseconds, of the quickest of a few runs. */
async function quickest(run: () => Promise<unknown>, runs = 5): Promise<number> {
  const times: number[] = [];
  while (times.length < runs) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return Math.min(...times);
}

const numbered = (count: number, name: (index: number) => string): Pair[] =>
  Array.from({ length: count }, (_, index) => [name(index), int8(index)] as const);

for (const [what, name] of [
  ["of as many names", (index: number) => `h${index}`],
  ["of one name", () => "h"],
] as const) {
  test(`ten times the headers ${what} take some ten times as long to decode, not a hundred times`, async () => {
    const few = await batch(0, [record(0, numbered(1_000, name))]);
    const many = await batch(0, [record(0, numbered(10_000, name))]);
    const [message] = await decode(many);
    assert.equal(Object.values(message?.headers ?? {}).flat().length, 10_000);
    const ratio = (await quickest(() => decode(many))) / (await quickest(() => decode(few)));
    assert.ok(ratio < 40, `${ratio} times`);
  });
}

test("a header that comes several times is an array, a null one is null, and order is kept", async () => {
  const [a, b, c] = [Buffer.from("a"), Buffer.from("b"), Buffer.from("")];
  const headers = await headersOf([
    ["x", a],
    ["y", null],
    ["x", b],
    ["", a],
    ["x", c],
    ["y", b],
    [null, c],
  ]);
  assert.deepEqual(headers, { x: [a, b, c], y: [null, b], "": a, null: c });
  assert.deepEqual(Object.keys(headers), ["x", "y", "", "null"]);
  assert.deepEqual(await headersOf([]), {});
});

test("headers named like members of Object.prototype are the record's own values alone", async () => {
  const names = Object.getOwnPropertyNames(Object.prototype);
  assert.ok(names.includes("__proto__") && names.includes("constructor") && names.includes("toString"));
  const [first, second] = [Buffer.from("1"), Buffer.from("2")];
  const once = await headersOf(names.map((name) => [name, first]));
  assert.equal(Object.getPrototypeOf(once), Object.prototype);
  assert.deepEqual(
    Object.entries(once),
    names.map((name) => [name, first]),
  );
  const twice = await headersOf(
    [...names, ...names].map((name, at) => [name, at < names.length ? first : second]),
  );
  assert.deepEqual(
    Object.entries(twice),
    names.map((name) => [name, [first, second]]),
  );
  assert.equal(Object.hasOwn({}, "1"), false);
});

const bytes = fc.uint8Array({ maxLength: 5 }).map((content) => Buffer.from(content));
const ordinaryName = fc
  .oneof(fc.constantFrom("a", "b", "1", "0", ""), fc.string({ unit: "binary", maxLength: 6 }))
  .filter((name) => !(name in Object.prototype));
const pair = fc.tuple(fc.option(ordinaryName, { freq: 9 }), fc.option(bytes, { freq: 9 }));
const someRecord = fc.tuple(fc.array(pair, { maxLength: 8 }), fc.option(bytes));
const someBatch = fc.tuple(fc.array(someRecord, { maxLength: 4 }), fc.constantFrom(0, GZIP));

test("ordinary records decode as they did, wherever the broker cuts the answer off", async () => {
  registerCodecs();
  const unmended = unmendedDecode();
  const [mistaken] = await unmended(await batch(0, [record(0, [["constructor", null]])]));
  assert.deepEqual(mistaken?.headers, { constructor: [Object, null] }, "this kafkajs is mended");
  const outcome = (promise: Promise<Message[]>) =>
    promise.then(
      (messages) => ({ messages, order: messages.map(({ headers }) => Object.keys(headers)) }),
      (error: unknown) => ({ error: String(error) }),
    );
  await fc.assert(
    fc.asyncProperty(fc.array(someBatch, { maxLength: 3 }), fc.nat({ max: 200 }), async (batches, cut) => {
      const encoded = await Promise.all(
        batches.map(([records, codec], at) =>
          batch(
            at * 10,
            records.map(([headers, value], index) => record(index, headers, value)),
            codec,
          ),
        ),
      );
      const whole = Buffer.concat(encoded);
      const recordSet = whole.subarray(0, cut > 100 ? whole.length : Math.max(0, whole.length - cut));
      if (recordSet.length > 0 && recordSet.length < 17) assert.deepEqual(await decode(recordSet), []);
      else assert.deepEqual(await outcome(decode(recordSet)), await outcome(unmended(recordSet)));
    }),
    { numRuns: 300 },
  );
});

for (const version of [4, 5, 7, 8, 11]) {
  test(`200,000 records in one small batch are read, with version ${version} of the fetch`, async () => {
    registerCodecs();
    const records = Array.from({ length: 200_000 }, (_, index) => record(index));
    const tombstones = await batch(5, records, GZIP);
    const next = await batch(200_005, [record(0, [], Buffer.from("next"))]);
    const messages = await decode(Buffer.concat([tombstones, next]), version);
    assert.equal(messages.length, 200_001);
    assert.equal(messages[199_999]?.offset, "200004");
    assert.deepEqual(messages.at(-1)?.value, Buffer.from("next"));
  });
}

test("what the broker still keeps in the old format is left to kafkajs", async () => {
  const message = Buffer.concat([
    int32(0),
    int8(1),
    int8(0),
    int64(1e12),
    int32(-1),
    int32(2),
    Buffer.from("v1"),
  ]);
  const [decoded, ...others] = await decode(Buffer.concat([int64(7), int32(message.length), message]));
  assert.equal(others.length, 0);
  assert.equal(decoded?.offset, "7");
  assert.deepEqual(decoded?.value, Buffer.from("v1"));
});
