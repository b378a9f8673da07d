import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { backoff, MAX_RETRY_AFTER_MS, parseRetryAfter } from "../../src/delivery/retry.ts";

const NOW = Date.parse("2026-03-01T12:00:00Z");
const CAP = MAX_RETRY_AFTER_MS;

describe("backoff", () => {
  const limits = fc
    .tuple(fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 0, max: 3_600_000 }))
    .map(([initialBackoff, more]) => ({ initialBackoff, maxBackoff: initialBackoff + more }));
  const attempts = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 2 ** 31 }));
  const randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

  test("is spread from 0 to the cap or the doubled backoff, whichever is less, at any attempt", () => {
    fc.assert(
      fc.property(attempts, limits, randoms, (attempt, bounds, random) => {
        const wait = backoff(attempt, bounds, () => random);
        const ceiling = Math.min(bounds.maxBackoff, bounds.initialBackoff * 2 ** (attempt - 1));
        assert.ok(wait >= 0 && wait <= ceiling && Number.isFinite(wait));
        assert.equal(wait, random * ceiling, "full jitter: every wait up to the ceiling is as likely");
      }),
    );
  });

  test("doubles from the initial backoff up to the cap, and stays there for ever", () => {
    const bounds = { initialBackoff: 500, maxBackoff: 60_000 };
    const ceilings = [1, 2, 3, 4, 7, 8, 9, 100, 1_024, 1_025, 5_000, Number.MAX_SAFE_INTEGER].map((attempt) =>
      backoff(attempt, bounds, () => 1),
    );
    assert.deepEqual(
      ceilings,
      [500, 1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000, 60_000, 60_000, 60_000, 60_000],
    );
  });
});

describe("Retry-After in seconds", () => {
  test("is taken as it is, with blanks and fractions", () => {
    assert.equal(parseRetryAfter("1", NOW), 1_000);
    assert.equal(parseRetryAfter("120", NOW), 120_000);
    assert.equal(parseRetryAfter("  7\t", NOW), 7_000);
    assert.equal(parseRetryAfter("007", NOW), 7_000);
    assert.equal(parseRetryAfter("0.25", NOW), 250);
    assert.equal(parseRetryAfter("1.5", NOW), 1_500);
  });

  test("is clamped to five minutes, however large", () => {
    for (const header of [
      "300",
      "301",
      "86400",
      "31536000",
      "9".repeat(15),
      "9".repeat(16),
      "9".repeat(400),
    ]) {
      assert.equal(parseRetryAfter(header, NOW), CAP, header);
    }
  });

  test("says nothing when it is zero, negative or absent", () => {
    for (const header of [undefined, "", "  ", "0", "0.0", "-0", "-5", "-0.5"]) {
      assert.equal(parseRetryAfter(header, NOW), undefined, header);
    }
  });

  test("any number of seconds is honoured up to the clamp", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 10n ** 40n }), (seconds) => {
        const expected = seconds > 300n ? CAP : Number(seconds) * 1_000;
        assert.equal(parseRetryAfter(String(seconds), NOW), expected);
      }),
    );
  });
});

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The three forms of RFC 9110, 5.6.7. */
const forms = (time: number): { imf: string; rfc850: string; asctime: string } => {
  const date = new Date(time);
  const two = (value: number) => String(value).padStart(2, "0");
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  const weekday = DAYS[date.getUTCDay()] ?? "";
  const month = MONTHS[date.getUTCMonth()] ?? "";
  const day = date.getUTCDate();
  const year = date.getUTCFullYear();
  return {
    imf: `${weekday.slice(0, 3)}, ${two(day)} ${month} ${year} ${clock} GMT`,
    rfc850: `${weekday}, ${two(day)}-${month}-${two(year % 100)} ${clock} GMT`,
    asctime: `${weekday.slice(0, 3)} ${month} ${String(day).padStart(2, " ")} ${clock} ${year}`,
  };
};

describe("Retry-After as an HTTP-date", () => {
  test("the examples of RFC 9110 are one and the same time", () => {
    assert.deepEqual(forms(Date.UTC(1994, 10, 6, 8, 49, 37)), {
      imf: "Sun, 06 Nov 1994 08:49:37 GMT",
      rfc850: "Sunday, 06-Nov-94 08:49:37 GMT",
      asctime: "Sun Nov  6 08:49:37 1994",
    });
    const before = Date.UTC(1994, 10, 6, 8, 49, 30);
    for (const header of Object.values(forms(Date.UTC(1994, 10, 6, 8, 49, 37)))) {
      assert.equal(parseRetryAfter(header, before), 7_000, header);
    }
  });

  test("all three forms are read as UTC, in any time zone of the process", () => {
    const zone = process.env.TZ;
    try {
      for (const name of ["UTC", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Kiritimati"]) {
        process.env.TZ = name;
        for (const header of Object.values(forms(NOW + 90_000))) {
          assert.equal(parseRetryAfter(header, NOW), 90_000, `${header} in ${name}`);
        }
      }
    } finally {
      if (zone === undefined) delete process.env.TZ;
      else process.env.TZ = zone;
    }
  });

  test("any time is honoured to the second, past ones say nothing, far ones are clamped", () => {
    const times = fc
      .integer({ min: Date.UTC(1971, 0), max: Date.UTC(2069, 0) })
      .map((time) => time - (time % 1_000));
    const waits = fc.integer({ min: -86_400, max: 86_400 }).map((seconds) => seconds * 1_000);
    fc.assert(
      fc.property(times, waits, (now, wait) => {
        const expected = wait <= 0 ? undefined : Math.min(wait, CAP);
        for (const header of Object.values(forms(now + wait))) {
          assert.equal(parseRetryAfter(header, now), expected, header);
        }
      }),
    );
  });

  test("a year of two digits is the nearest that isn't more than 50 years ahead", () => {
    assert.equal(parseRetryAfter(forms(NOW + 60_000).rfc850, NOW), 60_000);
    assert.equal(parseRetryAfter("Tuesday, 01-Mar-77 12:01:00 GMT", NOW), undefined, "1977 is past");
    assert.equal(parseRetryAfter("Sunday, 01-Mar-76 12:01:00 GMT", NOW), CAP, "2076 is to come");
    const newYear = Date.parse("2099-12-31T23:59:30Z");
    assert.equal(parseRetryAfter(forms(newYear + 60_000).imf, newYear), 60_000);
  });

  test("a leap second is taken for the second before it", () => {
    const before = Date.parse("2016-12-31T23:59:50Z");
    assert.equal(parseRetryAfter("Sat, 31 Dec 2016 23:59:60 GMT", before), 9_000);
  });

  test("it is compared with the server's own clock where the answer tells it", () => {
    for (const skew of [-86_400_000, -3_600_000, 0, 3_600_000, 86_400_000]) {
      const server = NOW + skew;
      for (const header of Object.values(forms(server + 30_000))) {
        for (const date of Object.values(forms(server))) {
          assert.equal(parseRetryAfter(header, NOW, date), 30_000);
        }
      }
    }
  });

  test("a Date header that is no date is as good as none; seconds need none", () => {
    assert.equal(parseRetryAfter(forms(NOW + 30_000).imf, NOW, "yesterday"), 30_000);
    assert.equal(parseRetryAfter(forms(NOW + 30_000).imf, NOW, ""), 30_000);
    assert.equal(parseRetryAfter("30", NOW, forms(NOW - 86_400_000).imf), 30_000);
  });

  test("a year ahead is clamped, a year ago says nothing", () => {
    const year = 365 * 86_400_000;
    assert.equal(parseRetryAfter(forms(NOW + year).imf, NOW), CAP);
    assert.equal(parseRetryAfter(forms(NOW - year).imf, NOW), undefined);
    assert.equal(parseRetryAfter(forms(NOW).imf, NOW), undefined);
  });
});

describe("Retry-After that is neither", () => {
  test("says nothing, though Date.parse might make something of it", () => {
    for (const header of [
      "soon",
      "5s",
      "5 seconds",
      "+5",
      "1e3",
      "0x10",
      "5,5",
      "1.",
      ".5",
      "Infinity",
      "NaN",
      "٣",
      "2999-01-01",
      "2999-01-01T00:00:00Z",
      "Sun, 99 Nov 2999 08:49:37 GMT",
      "Sun, 06 Foo 2999 08:49:37 GMT",
      "Sun, 06 Nov 2999 25:49:37 GMT",
      "Sun, 06 Nov 2999 08:49:37 PST",
      "Sun, wait until 2999 08:49:37",
      "Monday - - - 2999",
      "Fri Jan  1 2999",
      "\u{1f4f5}",
    ]) {
      assert.equal(parseRetryAfter(header, NOW), undefined, header);
    }
  });

  test("arbitrary text never throws and never gives a wait beyond the clamp", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), (header, date) => {
        const wait = parseRetryAfter(header, NOW, date);
        assert.ok(wait === undefined || (wait > 0 && wait <= CAP));
      }),
      { numRuns: 300 },
    );
  });
});
