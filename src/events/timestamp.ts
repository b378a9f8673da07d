const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,30})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** Milliseconds of 1973-03-03, above every plausible time in seconds; and of the end of the year 9999. */
const MIN_EPOCH_MILLIS = 1e11;
const MAX_EPOCH_MILLIS = 253_402_300_799_999;

/**
 * A point in time as records carry it → RFC 3339, or undefined if it isn't one.
 * Strings must be RFC 3339 already, of a date that exists; they are kept as given (offset and fraction too).
 * Numbers and Dates are what Avro's timestamp-millis and timestamp-micros become; a number too small for milliseconds
 * is refused rather than guessed at, for seconds taken for milliseconds would make an opt-out expire in 1970.
 */
export function toRfc3339(value: unknown): string | undefined {
  if (typeof value === "string") return checked(value.trim());
  if (value instanceof Date) return fromMillis(value.getTime());
  if (typeof value !== "number" || value < MIN_EPOCH_MILLIS) return undefined;
  return fromMillis(value > MAX_EPOCH_MILLIS ? value / 1000 : value);
}

function fromMillis(millis: number): string | undefined {
  if (!(millis >= 0 && millis <= MAX_EPOCH_MILLIS)) return undefined;
  return new Date(millis).toISOString();
}

function checked(text: string): string | undefined {
  if (!RFC_3339.test(text)) return undefined;
  // Every part is in its place, so the pattern needs no groups, which take as long again (0.3 µs).
  const part = (from: number, to?: number): number => Number(text.slice(from, to));
  const [month, day, hour, minute, second] = [
    part(5, 7),
    part(8, 10),
    part(11, 13),
    part(14, 16),
    part(17, 19),
  ];
  const isUtc = text.endsWith("Z") || text.endsWith("z");
  const [offsetHour, offsetMinute] = isUtc ? [0, 0] : [part(-5, -3), part(-2)];
  if (hour > 23 || minute > 59 || offsetHour > 23 || offsetMinute > 59) return undefined;
  if (month < 1 || month > 12 || day < 1 || day > daysIn(part(0, 4), month)) return undefined;
  const canonical = text.toUpperCase();
  if (second < 60) return canonical;
  // A leap second ends a UTC day (RFC 3339, 5.7). Few readers take ":60", so it is told as the second before it.
  const offset = offsetHour * 60 + offsetMinute;
  const utcMinute = hour * 60 + minute - (text.at(-6) === "-" ? -offset : offset);
  const endsUtcDay = (utcMinute + 2 * 1440) % 1440 === 1439;
  return second === 60 && endsUtcDay ? canonical.replace(":60", ":59") : undefined;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** The first and last moment that RFC 3339 has a form for, in milliseconds since the epoch. */
const YEAR_0 = Date.parse("0000-01-01T00:00:00.000Z");
const YEAR_9999 = Date.parse("9999-12-31T23:59:59.999Z");
/** Kafka takes any number for a timestamp, and producers have put microseconds there. */
export const rfc3339 = (milliseconds: number): string => {
  const known = Number.isNaN(milliseconds) ? 0 : milliseconds;
  return new Date(Math.min(Math.max(known, YEAR_0), YEAR_9999)).toISOString();
};
