import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../src/config/units.ts";

test("durations are milliseconds", () => {
  assert.equal(parseDuration("500ms"), 500);
  assert.equal(parseDuration("10s"), 10_000);
  assert.equal(parseDuration("5m"), 300_000);
  assert.equal(parseDuration("1h"), 3_600_000);
  assert.equal(parseDuration("0s"), 0);
  assert.equal(parseDuration("007s"), 7_000);
});

test("sizes are bytes", () => {
  assert.equal(parseSize("100B"), 100);
  assert.equal(parseSize("512KiB"), 524_288);
  assert.equal(parseSize("1MiB"), 1_048_576);
  assert.equal(parseSize("2GiB"), 2_147_483_648);
});

test("a quantity without a unit, with a foreign one or in a loose form is none", () => {
  const neither = [
    "",
    " ",
    "10",
    "-1s",
    "-1B",
    "1.5s",
    "1e3ms",
    "NaN",
    "NaNs",
    "Infinityms",
    "s",
    "B",
    "10 s",
    " 10s",
    "10s\n",
  ];
  for (const text of [
    ...neither,
    "10S",
    "10d",
    "10sec",
    "1MB",
    "1kib",
    "1K",
    "constructor",
    "1constructor",
    "1__proto__",
  ]) {
    assert.equal(parseDuration(text), undefined, JSON.stringify(text));
    assert.equal(parseSize(text), undefined, JSON.stringify(text));
  }
});

test("a quantity that can't be held exactly is none", () => {
  assert.equal(parseDuration("9007199254740991ms"), Number.MAX_SAFE_INTEGER);
  assert.equal(parseDuration("9007199254740993ms"), undefined);
  assert.equal(parseDuration("9007199254740991h"), undefined);
  assert.equal(parseSize(`${"9".repeat(400)}B`), undefined);
});

test("every duration and size survives being written and read", () => {
  fc.assert(
    fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (value) => {
      assert.equal(parseDuration(formatDuration(value)), value);
      assert.equal(parseSize(formatSize(value)), value);
    }),
  );
});

test("an amount in any unit is that many of it, and is written in the largest unit that fits", () => {
  const duration = fc.constantFrom(["ms", 1], ["s", 1_000], ["m", 60_000], ["h", 3_600_000]);
  const size = fc.constantFrom(["B", 1], ["KiB", 1_024], ["MiB", 1_048_576], ["GiB", 1_073_741_824]);
  fc.assert(
    fc.property(fc.nat({ max: 1_000_000 }), duration, size, (amount, [time, factor], [space, bytes]) => {
      assert.equal(parseDuration(`${amount}${time}`), amount * Number(factor));
      assert.equal(parseSize(`${amount}${space}`), amount * Number(bytes));
    }),
  );
  assert.equal(formatDuration(90_000), "90s");
  assert.equal(formatDuration(7_200_000), "2h");
  assert.equal(formatDuration(0), "0ms");
  assert.equal(formatSize(1_536), "1536B");
  assert.equal(formatSize(1_048_576), "1MiB");
});

test("no text makes the parsers throw or return anything but a whole number", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const value of [parseDuration(text), parseSize(text)]) {
        assert.ok(value === undefined || (Number.isSafeInteger(value) && value >= 0));
      }
    }),
  );
});
