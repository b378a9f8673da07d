/** Pure retry arithmetic: no clock, no randomness but what is given. All times in milliseconds. */

export interface BackoffLimits {
  initialBackoff: number;
  maxBackoff: number;
}

/** A closed lane makes opt-outs late, so no answer may close it for longer than this. */
export const MAX_RETRY_AFTER_MS = 5 * 60_000;

/** Capped exponential backoff with full jitter; `attempt` counts from 1, `random` gives [0, 1). */
export function backoff(attempt: number, limits: BackoffLimits, random: () => number): number {
  // 2 ** 1024 is Infinity, and Math.min still gives the cap.
  const ceiling = Math.min(limits.maxBackoff, limits.initialBackoff * 2 ** (attempt - 1));
  return random() * ceiling;
}

/**
 * Milliseconds to wait by a `Retry-After` header (RFC 9110, 10.2.3): seconds or an HTTP-date, clamped to
 * `MAX_RETRY_AFTER_MS`. A date is compared with the answer's own `Date` header where there is one, so a skewed clock
 * doesn't matter. Undefined for what says nothing usable: absent, garbage, zero, negative or past.
 */
export function parseRetryAfter(
  header: string | undefined,
  now: number,
  dateHeader?: string,
): number | undefined {
  const text = header?.trim() ?? "";
  if (/^\d+(\.\d+)?$/.test(text)) return clamp(Number(text) * 1000);
  const until = parseHttpDate(text, now);
  if (until === undefined) return undefined;
  return clamp(until - (parseHttpDate(dateHeader?.trim() ?? "", now) ?? now));
}

const clamp = (wait: number): number | undefined =>
  wait > 0 ? Math.min(wait, MAX_RETRY_AFTER_MS) : undefined;

/** The three forms of RFC 9110, 5.6.7, all of them in UTC: IMF-fixdate, RFC 850, asctime. */
const HTTP_DATES = [
  /^[A-Z][a-z]{2}, (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]{5,8}, (?<day>\d\d)-(?<month>[A-Z][a-z]{2})-(?<year>\d\d) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]?\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/,
];

/** `Date.parse` alone takes far more than these, "-5" among it, and takes asctime for local time. */
function parseHttpDate(text: string, now: number): number | undefined {
  for (const form of HTTP_DATES) {
    const { day, month, year = "", time = "" } = form.exec(text)?.groups ?? {};
    if (day === undefined) continue;
    const fullYear = year.length === 2 ? nearestYear(Number(year), now) : year;
    // JavaScript knows no leap seconds.
    const parsed = Date.parse(`${day.trim()} ${month} ${fullYear} ${time.replace(/60$/, "59")} GMT`);
    return Number.isNaN(parsed) ? undefined : parsed;
  }
  return undefined;
}

/** A year of two digits is never more than 50 years ahead. */
function nearestYear(twoDigits: number, now: number): number {
  const thisYear = new Date(now).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}
