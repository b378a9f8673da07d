import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import fc from "fast-check";
import { createDecoder, type Decoder, type RecordIn } from "../../src/events/decode.ts";
import { REJECT_REASONS } from "../../src/events/event.ts";
import type { SchemaCache } from "../../src/events/schema-cache.ts";
import { BAD, GOOD } from "../support/bad-records.ts";
import { createBadRecords, createGoodRecords } from "../support/encoded-records.ts";
import { fuzz, hostileJson, mutated } from "../support/fuzz.ts";
import { createLocalSerializers } from "../support/local-serializers.ts";

const MAX_SEED_BYTES = 4_000;
const bytesOf = (value: unknown): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(String(value ?? ""));

interface Seed {
  value: Buffer;
  headers: Record<string, unknown> | undefined;
}

let corpus: Seed[] = [];
let schemas: SchemaCache;
let decode: Decoder;

before(async () => {
  const serializers = createLocalSerializers();
  ({ schemas } = serializers);
  const records = [
    ...(await createGoodRecords(serializers, 0)),
    ...(await createBadRecords(serializers)),
    ...BAD,
    ...GOOD,
  ];
  corpus = records
    .map(({ value, headers }) => ({ value: bytesOf(value), headers }))
    .filter(({ value }) => value.length <= MAX_SEED_BYTES);
  decode = createDecoder({ normalization: { defaultRegion: "US", regionBySource: { ivr: "GB" } }, schemas });
});

const E164 = /^\+[1-9]\d{6,14}$/;
/** A schema's id or GUID, and places in the value, may be told; nothing else that could be a phone. */
const withoutIds = (detail: string): string =>
  detail.replace(/schema id -?\d+|GUID [0-9a-f-]{36}|at position \d+/g, "");

/** An event as the ledger and the APIs can have it, a wait for a schema, or a refusal with a reason of the list. */
function check(record: RecordIn): void {
  const decoded = decode(record);
  if ("schemaId" in decoded) return;
  const { eventId, source, occurredAt } = decoded.ok ? decoded.event : decoded;
  assert.match(source, /^[A-Za-z0-9_.-]{1,64}$/);
  assert.ok(eventId === null || (eventId.length <= 256 && !/\p{Cs}/u.test(eventId)));
  assert.ok(occurredAt === null || !Number.isNaN(Date.parse(occurredAt)), String(occurredAt));
  if (decoded.ok) {
    assert.match(decoded.event.phone, E164);
    assert.equal(decoded.event.type, decoded.event.expiresAt === null ? "dncl" : "dncl_expiration");
    assert.ok((decoded.event.expiresAt ?? "").length <= 64);
  } else {
    assert.ok(REJECT_REASONS.includes(decoded.reason));
    assert.ok(decoded.detail.length > 0 && decoded.detail.length < 300, decoded.detail);
    assert.doesNotMatch(withoutIds(decoded.detail), /\d{5}/);
  }
}

describe("any record is an event or is refused with a reason, and never quoted", () => {
  test("the seeds themselves are of every kind: taken, and refused for nearly every reason", () => {
    const outcomes = new Set<string>(
      corpus.map((record) => {
        const decoded = decode(record);
        if ("schemaId" in decoded) return "waits";
        return decoded.ok ? "taken" : decoded.reason;
      }),
    );
    for (const expected of [
      "taken",
      ...REJECT_REASONS.filter((reason) => reason !== "refused_by_environment"),
    ]) {
      assert.ok(outcomes.has(expected), expected);
    }
  });

  test("records of all encodings with some of their bytes changed", () => {
    const headers = fc.constantFrom(...corpus.map((seed) => seed.headers));
    const record = fc.oneof(
      fc.constantFrom(...corpus).chain((seed) => mutated([seed.value]).map((value) => ({ ...seed, value }))),
      fc.record({ value: mutated(corpus.map(({ value }) => value)), headers }),
    );
    fuzz(record, check, 5_000);
  });

  test("headers that are changed, of other kinds, or there several times", () => {
    const named = corpus.flatMap(({ headers }) => Object.entries(headers ?? {}));
    const name = fc.constantFrom(
      ...new Set(named.map(([key]) => key)),
      "__proto__",
      "constructor",
      "ce_action",
    );
    const value = fc.oneof(
      mutated(named.map(([, given]) => bytesOf(given))),
      fc.constantFrom(...named.map(([, given]) => given)),
      fc.array(fc.oneof(fc.constant(null), fc.string()), { maxLength: 3 }),
      fc.constantFrom(null, undefined, 7, {}),
    );
    const headers = fc.array(fc.tuple(name, value), { maxLength: 6 }).map(Object.fromEntries);
    fuzz(fc.record({ value: fc.constantFrom(...corpus.map((seed) => seed.value)), headers }), check, 2_000);
  });

  test("JSON of the names that count, with values of every kind, some of them several times", () => {
    const words = [
      "phone",
      "action",
      "opt_out",
      "opt_in",
      "region",
      "US",
      "expiresAt",
      "occurredAt",
      "source",
      "eventId",
    ];
    const json = hostileJson([
      ...words,
      "data",
      "data_base64",
      "specversion",
      "1.0",
      "type",
      "id",
      "time",
      "+12125550123",
    ]);
    fuzz(json, (text) => check({ value: Buffer.from(text) }), 1_200);
  });

  test("phones of any characters, in any region", () => {
    const piece = fc.oneof(
      fc.string({ unit: "binary", maxLength: 12 }),
      fc.constantFrom(
        "+",
        "tel:",
        ";ext=",
        ";phone-context=",
        ";isub=",
        "x",
        "#",
        ",",
        ";",
        "(",
        ")",
        "\u0661\u0662",
        "\u{1d7d8}",
      ),
      fc.integer({ min: 0, max: 10 ** 12 }).map(String),
    );
    const phone = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
    const region = fc.constantFrom("US", "MX", "DE", "001", "XX", "us", "IT", undefined);
    fuzz(
      fc.record({ phone, region }),
      (fields) => check({ value: Buffer.from(JSON.stringify(fields)) }),
      2_500,
    );
  });
});
