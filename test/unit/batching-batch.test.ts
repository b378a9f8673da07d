import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Batch, createBatchBuilder, type Entry } from "../../src/batching/batch.ts";
import {
  batchOf,
  build,
  inputs,
  optOut,
  phoneOf,
  recordAt,
  rejected,
  SCOPE,
} from "./batching-arbitraries.ts";

const expirationOf = (batch: Batch): string | undefined => batch.entries[0]?.expirationDate;

describe("batch: what it holds", () => {
  test("every event is in it once, in order, and points at the entry of its own phone", () => {
    fc.assert(
      fc.property(inputs(), (events) => {
        const batch = build(events);
        assert.deepEqual(
          batch.events.map(({ record }) => record.offset),
          events.map(({ record }) => record.offset),
        );
        assert.equal(batch.first, events[0]?.record.offset);
        assert.equal(batch.last, events.at(-1)?.record.offset);
        for (const { decoded, entry } of batch.events) {
          if (decoded.ok) assert.equal(batch.entries[entry]?.phone, decoded.event.phone);
          else assert.equal(entry, -1);
        }
      }),
    );
  });

  test("its entries are the distinct phones of its valid events, in the order they were first asked for", () => {
    fc.assert(
      fc.property(inputs(), (events) => {
        const batch = build(events);
        const phones = events.flatMap(({ decoded }) => (decoded.ok ? [decoded.event.phone] : []));
        assert.deepEqual(
          batch.entries.map(({ phone }) => phone),
          [...new Set(phones)],
        );
        assert.deepEqual(
          batch.entryOffsets,
          batch.entries.map(
            ({ phone }) =>
              events.find(({ decoded }) => decoded.ok && decoded.event.phone === phone)?.record.offset,
          ),
        );
      }),
    );
  });

  test("its body is the JSON of its entries, and the size and growth told before are exact", () => {
    fc.assert(
      fc.property(inputs(), (events) => {
        const builder = createBatchBuilder(SCOPE);
        for (const { record, decoded } of events) {
          const before = builder.bytes;
          const growth = builder.growth(decoded);
          builder.add(record, decoded);
          assert.equal(builder.bytes, before + growth);
          const { body, entries } = builder.build();
          assert.equal(body.toString("utf8"), JSON.stringify(entries));
          assert.equal(body.length, builder.bytes);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("sizes count bytes, not characters", () => {
    const builder = createBatchBuilder(SCOPE);
    builder.add(recordAt(0), optOut({ phone: phoneOf(0), source: "größe-\u{1f4f5}" }));
    assert.equal(builder.bytes, builder.build().body.length);
  });

  test("an entry's properties are in the order of the contract", () => {
    const batch = batchOf(
      { phone: "+12125550123", source: "ivr" },
      { phone: "+12125550124", expiresAt: "2030-01-31T12:00:00Z" },
    );
    assert.equal(
      batch.body.toString("utf8"),
      '[{"phone":"+12125550123","type":"dncl","source":"ivr"},' +
        '{"phone":"+12125550124","type":"dncl_expiration","source":"web","expirationDate":"2030-01-31T12:00:00Z"}]',
    );
  });

  test("a range without a valid event has no entries and an empty array for a body", () => {
    const batch = batchOf(rejected, rejected);
    assert.deepEqual(batch.entries, []);
    assert.equal(batch.body.toString("utf8"), "[]");
    assert.equal(batch.oldestAskedAt, Number.POSITIVE_INFINITY);
    assert.deepEqual([batch.first, batch.last], [0, 1]);
  });

  test("an empty batch can't be built", () => {
    assert.throws(() => createBatchBuilder(SCOPE).build(), RangeError);
  });
});

describe("batch: one phone asked for more than once", () => {
  const phone = phoneOf(1);
  const early = "2030-01-01T00:00:00Z";
  const late = "2031-01-01T00:00:00Z";

  test("for ever beats a date, whichever comes first", () => {
    for (const wishes of [
      [{ phone }, { phone, expiresAt: late }],
      [{ phone, expiresAt: late }, { phone }],
    ]) {
      const batch = batchOf(...wishes);
      assert.equal(batch.entries.length, 1);
      assert.equal(batch.entries[0]?.type, "dncl");
      assert.equal(expirationOf(batch), undefined);
    }
  });

  test("a later date beats an earlier one, whichever comes first", () => {
    for (const dates of [
      [early, late],
      [late, early],
    ]) {
      const batch = batchOf(...dates.map((expiresAt) => ({ phone, expiresAt })));
      assert.equal(batch.entries.length, 1);
      assert.equal(expirationOf(batch), late);
    }
  });

  test("dates are compared as times, not as text", () => {
    const earlierTime = "2030-01-01T03:00:00+09:00";
    const laterTime = "2029-12-31T23:00:00Z";
    assert.equal(
      expirationOf(batchOf({ phone, expiresAt: earlierTime }, { phone, expiresAt: laterTime })),
      laterTime,
    );
    assert.equal(
      expirationOf(batchOf({ phone, expiresAt: laterTime }, { phone, expiresAt: earlierTime })),
      laterTime,
    );
  });

  test("equal wishes leave the first as it is", () => {
    const batch = batchOf({ phone, source: "web" }, { phone, source: "ivr" });
    assert.deepEqual(batch.entries, [{ phone, type: "dncl", source: "web" }]);
  });

  test("the entry is the strongest wish of all its events, in any order", () => {
    const strength = (entry: Entry): number =>
      entry.expirationDate === undefined ? Number.POSITIVE_INFINITY : Date.parse(entry.expirationDate);
    fc.assert(
      fc.property(inputs(), (events) => {
        for (const entry of build(events).entries) {
          const wishes = events.flatMap(({ decoded }) =>
            decoded.ok && decoded.event.phone === entry.phone ? [decoded.event] : [],
          );
          const strongest = Math.max(
            ...wishes.map(({ expiresAt }) =>
              expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(expiresAt),
            ),
          );
          assert.equal(strength(entry), strongest);
        }
      }),
    );
  });
});

describe("batch: age", () => {
  test("an event's age counts from when the person asked, else from Kafka's timestamp", () => {
    const at = (occurredAt: string | null) => {
      const builder = createBatchBuilder(SCOPE);
      builder.add(recordAt(0, 5_000), optOut({ phone: phoneOf(0), occurredAt }));
      return builder.build().events[0]?.askedAt;
    };
    assert.equal(at("1970-01-01T00:00:01Z"), 1_000);
    assert.equal(at(null), 5_000);
    assert.equal(at("last Tuesday"), 5_000);
  });

  test("a batch is as old as its oldest valid event", () => {
    const batch = batchOf(
      rejected,
      { phone: phoneOf(0) },
      { phone: phoneOf(1), occurredAt: "2001-01-01T00:00:00Z" },
      { phone: phoneOf(1), occurredAt: "2000-01-01T00:00:00Z" },
      { phone: phoneOf(2), occurredAt: "2002-01-01T00:00:00Z" },
    );
    assert.equal(batch.oldestAskedAt, Date.parse("2000-01-01T00:00:00Z"));
  });
});
