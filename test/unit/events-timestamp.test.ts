import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toRfc3339 } from "../../src/events/timestamp.ts";

test("RFC 3339 is kept as given, offset and fraction included", () => {
  for (const text of [
    "2030-01-31T12:00:00Z",
    "2024-02-29T23:59:59.123456789+05:30",
    "2030-01-31T00:00:00-00:00",
    "1999-12-31T23:59:59-23:59",
    "0000-02-29T00:00:00Z",
  ]) {
    assert.equal(toRfc3339(text), text);
  }
  assert.equal(toRfc3339(" 2030-01-31t12:00:00z "), "2030-01-31T12:00:00Z");
});

test("dates that don't exist and other notations are refused", () => {
  for (const text of [
    "2030-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2030-04-31T00:00:00Z",
    "2030-13-01T00:00:00Z",
    "2030-00-10T00:00:00Z",
    "2030-01-00T00:00:00Z",
    "2030-01-31T24:00:00Z",
    "2030-01-31T12:60:00Z",
    "2030-01-31T12:00:61Z",
    "2030-01-31T12:00:00+24:00",
    "2030-01-31T12:00:00+05:60",
    "2030-01-31T12:00:00",
    "2030-01-31T12:00Z",
    "2030-01-31 12:00:00Z",
    "2030-01-31T12:00:00.Z",
    "2030-01-31T12:00:00+0530",
    "2030-01-31",
    "+002030-01-31T12:00:00Z",
    "tomorrow",
    "1900000000000",
    "",
  ]) {
    assert.equal(toRfc3339(text), undefined, text);
  }
});

test("a leap second is told as the second before it, at the end of a UTC day only", () => {
  assert.equal(toRfc3339("2016-12-31T23:59:60Z"), "2016-12-31T23:59:59Z");
  assert.equal(toRfc3339("2016-12-31T15:59:60.5-08:00"), "2016-12-31T15:59:59.5-08:00");
  assert.equal(toRfc3339("2017-01-01T08:59:60+09:00"), "2017-01-01T08:59:59+09:00");
  assert.equal(toRfc3339("2016-12-31T12:00:60Z"), undefined);
});

test("Avro's milliseconds, microseconds and Dates become UTC", () => {
  const millis = Date.UTC(2030, 0, 31, 12);
  assert.equal(toRfc3339(millis), "2030-01-31T12:00:00.000Z");
  assert.equal(toRfc3339(millis * 1000), "2030-01-31T12:00:00.000Z");
  assert.equal(toRfc3339(new Date(millis)), "2030-01-31T12:00:00.000Z");
});

test("a number that can't be milliseconds is refused, seconds above all", () => {
  for (const value of [
    millis(2030) / 1000,
    0,
    -1,
    Number.NaN,
    Infinity,
    1e300,
    new Date(Number.NaN),
    true,
    {},
    10n,
  ]) {
    assert.equal(toRfc3339(value), undefined);
  }
});

const millis = (year: number): number => Date.UTC(year, 0, 1);

test("whatever is accepted is a time to every reader, and every ISO string of a Date is accepted", () => {
  const time = fc.tuple(fc.date({ noInvalidDate: true, min: new Date(0), max: new Date("9999-12-31") }));
  fc.assert(
    fc.property(time, ([date]) => {
      assert.equal(toRfc3339(date.toISOString()), date.toISOString());
    }),
  );
  const part = (max: number): fc.Arbitrary<string> => fc.nat(max).map((n) => String(n).padStart(2, "0"));
  const text = fc
    .tuple(part(9999), part(13), part(32), part(24), part(60), part(61), part(24), part(60))
    .map(([y, mo, d, h, mi, s, oh, om]) => `${y.padStart(4, "0")}-${mo}-${d}T${h}:${mi}:${s}+${oh}:${om}`);
  fc.assert(
    fc.property(text, (candidate) => {
      const accepted = toRfc3339(candidate);
      assert.ok(accepted === undefined || !Number.isNaN(Date.parse(accepted)));
    }),
  );
});
