import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { IHeaders, Message } from "kafkajs";
import { readRedriven, writeRedriven } from "../../src/redrive/headers.ts";
import { type LetterRecord, readLetter, redrivenEvent } from "../../src/redrive/letter.ts";
import { bareDeadLetter, deadLetterMessage } from "../../src/results/dead-letter.ts";

/** As kafkajs gives it back: every text as bytes. */
function received({ key, value, headers = {} }: Message, offset = 0, timestamp = 0): LetterRecord {
  const bytes = (part: Buffer | string): Buffer => Buffer.from(part);
  return {
    key: key === null || key === undefined ? null : bytes(key),
    value: value === null ? null : bytes(value),
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, part]) => [
        name,
        Array.isArray(part) ? part.map(bytes) : bytes(part ?? ""),
      ]),
    ),
    offset: String(offset),
    timestamp: String(timestamp),
  };
}

interface Event {
  key: Buffer | null;
  value: Buffer | null;
  headers: IHeaders;
}

const letterOf = (event: Event, offset: number, environment: string | null = null): LetterRecord =>
  received(
    deadLetterMessage(
      { topic: "opt-outs", partition: 2, offset, ...event },
      {
        reason: environment === null ? "invalid_phone" : "refused_by_environment",
        detail: "why",
        environment,
        attempts: 2,
        httpStatus: 422,
      },
    ),
    700,
    1_000,
  );

const NAMES = { eventId: "event-1", source: "web" };
const AT = "2026-03-01T09:00:00.000Z";

/** The event as it goes back, and as its relay then reads it. */
function redriven(record: LetterRecord, partitions = 6): Message & Event {
  const letter = readLetter(record, 1, NAMES);
  assert.ok(letter);
  const message = redrivenEvent(record, letter, AT, partitions);
  const { key, value, headers = {} } = received(message);
  return { ...message, key, value, headers };
}

const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array));
const eventOf = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.dictionary(
    fc.string({ maxLength: 12 }),
    fc.oneof(bytes, fc.array(bytes, { minLength: 2, maxLength: 3 })),
    { maxKeys: 5 },
  ),
});

const isOwn = ([name]: readonly [string, unknown]): boolean => name.startsWith("optout.redriven.");
const ofProducer = (headers: IHeaders) => Object.entries(headers).filter((each) => !isOwn(each));

describe("a dead letter", () => {
  test("gives back its event whole, however often, with the first origin and a count", () => {
    fc.assert(
      fc.property(eventOf, fc.integer({ min: 1, max: 4 }), (event, rounds) => {
        let current: Event = event;
        for (let round = 1; round <= rounds; round++) {
          const sent = redriven(letterOf(current, 40 + round, round % 2 === 0 ? "us-west" : null));
          assert.deepEqual(sent.key, event.key);
          assert.deepEqual(sent.value, event.value);
          assert.deepEqual(ofProducer(sent.headers), Object.entries(event.headers));
          assert.deepEqual(readRedriven(sent.headers), {
            origin: "opt-outs:2:41",
            from: `opt-outs:2:${40 + round}`,
            at: AT,
            count: round,
          });
          current = sent;
        }
      }),
    );
  });

  test("says what it is of", () => {
    const event = { key: Buffer.from("k"), value: Buffer.from("{}"), headers: {} };
    const first = {
      partition: 3,
      offset: 700,
      ...NAMES,
      at: 1_000,
      statusId: "opt-outs:2:41",
      origin: "opt-outs:2:41",
      redriven: 0,
      detail: "why",
      event: { topic: "opt-outs", partition: 2 },
      reason: "refused_by_environment",
      environment: "us-west",
      isWhole: true,
      isEmpty: false,
    };
    const { digest, ...letter } = readLetter(letterOf(event, 41, "us-west"), 3, NAMES) ?? assert.fail();
    assert.deepEqual(letter, first);
    const again = letterOf(redriven(letterOf(event, 41)), 58, "us-west");
    assert.deepEqual(readLetter(again, 3, NAMES), {
      ...first,
      digest,
      statusId: "opt-outs:2:58",
      redriven: 1,
    });
  });

  test("tells by a digest whether another one has the same key and value", () => {
    const digestOf = (key: string | null, value: string | null) => {
      const bytesOf = (text: string | null) => (text === null ? null : Buffer.from(text));
      const event = { key: bytesOf(key), value: bytesOf(value), headers: {} };
      return readLetter(letterOf(event, 41), 3, NAMES)?.digest ?? assert.fail();
    };
    const pairs = [
      ["a", "bc"],
      ["ab", "c"],
      [null, "abc"],
      ["abc", null],
      ["", "abc"],
    ] as const;
    const digests = pairs.map(([key, value]) => digestOf(key, value));
    assert.equal(new Set(digests).size, pairs.length);
    assert.deepEqual(
      digests,
      pairs.map(([key, value]) => digestOf(key, value)),
    );
  });

  test("whose headers have no value, alone or among repeated ones, gives back what can be sent", () => {
    const record = letterOf({ key: null, value: null, headers: {} }, 41);
    const letter = readLetter(record, 1, NAMES) ?? assert.fail();
    // kafkajs' types don't know of it, but so it reads them.
    const headers: unknown = { ...record.headers, one: null, many: [Buffer.from("a"), null] };
    const sent = redrivenEvent({ ...record, headers: headers as IHeaders }, letter, AT, 6);
    assert.deepEqual([sent.headers?.one, sent.headers?.many], ["", [Buffer.from("a"), ""]]);
  });

  test("goes to the partition of its event, or by its key if there is none like that any more", () => {
    const record = letterOf({ key: Buffer.from("k"), value: null, headers: {} }, 41);
    assert.equal(redriven(record, 3).partition, 2);
    assert.equal("partition" in redriven(record, 2), false);
  });

  test("that lacks something of its event says so, and one of a null value too", () => {
    const whole = letterOf({ key: Buffer.from("k"), value: Buffer.from("v"), headers: {} }, 41);
    const bare = bareDeadLetter({ ...whole, value: whole.value, headers: whole.headers ?? {} });
    assert.ok(bare);
    assert.deepEqual(
      [whole, received(bare), letterOf({ key: null, value: null, headers: {} }, 42)].map((record) => {
        const letter = readLetter(record, 0, NAMES);
        return [letter?.isWhole, letter?.isEmpty];
      }),
      [
        [true, false],
        [false, false],
        [true, true],
      ],
    );
  });

  test("of a relay is told from any other record", () => {
    const event = { key: null, value: Buffer.from("v"), headers: {} };
    const { headers = {}, ...record } = letterOf(event, 41);
    assert.equal(readLetter({ ...record, headers: {} }, 0, NAMES), undefined);
    assert.equal(readLetter(record, 0, NAMES), undefined);
    for (const name of ["optout.reason", "__connect.errors.topic", "__connect.errors.offset"]) {
      const { [name]: _, ...others } = headers;
      assert.equal(readLetter({ ...record, headers: others }, 0, NAMES), undefined, `without ${name}`);
    }
    const twice = [Buffer.from("1"), Buffer.from("2")];
    assert.equal(
      readLetter({ ...record, headers: { ...headers, "__connect.errors.offset": twice } }, 0, NAMES),
      undefined,
    );
  });
});

describe("the headers of a redriven event", () => {
  const redrivenOf = { origin: "a.b_c-d:0:1", from: "a.b_c-d:0:7", at: AT, count: 3 };

  test("are read as they were written", () => {
    const { headers } = received({ value: null, headers: writeRedriven(redrivenOf) });
    assert.deepEqual(readRedriven(headers), redrivenOf);
  });

  for (const [name, value] of [
    ["optout.redriven.from", "x".repeat(100_000)],
    ["optout.redriven.from", "topic:1"],
    ["optout.redriven.origin", "topic:1:2\nx"],
    ["optout.redriven.count", "-1"],
    ["optout.redriven.at", "9".repeat(41)],
  ] as const) {
    test(`are nothing with ${name} ${value.slice(0, 12)}`, () => {
      assert.equal(readRedriven({ ...writeRedriven(redrivenOf), [name]: value }), undefined);
    });
  }

  test("are nothing when one is missing or comes twice, and when there are none", () => {
    const { "optout.redriven.at": _, ...others } = writeRedriven(redrivenOf);
    assert.equal(readRedriven(others), undefined);
    const twice = { ...writeRedriven(redrivenOf), "optout.redriven.from": ["a:0:1", "a:0:2"] };
    assert.equal(readRedriven(twice), undefined);
    assert.equal(readRedriven({}), undefined);
    assert.equal(readRedriven(undefined), undefined);
  });
});
