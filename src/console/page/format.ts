const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
const grouped = new Intl.NumberFormat("en");
const shortDate = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

/** `0.4 s`, `42 s`, `12 min 05 s`, `3 h 05 min`, `12 d 4 h`; of milliseconds, and none for less than no time. */
export function duration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < 9_950) return `${(ms / SECOND).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${two((ms % MINUTE) / SECOND)} s`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${two((ms % HOUR) / MINUTE)} min`;
  return `${count(Math.floor(ms / DAY))} d ${Math.floor((ms % DAY) / HOUR)} h`;
}

/** The same without tenths: for what ticks. */
export const age = (milliseconds: number): string =>
  milliseconds < 9_950 ? `${Math.floor(Math.max(0, milliseconds) / SECOND)} s` : duration(milliseconds);

/** `14:03:12`, with the day before it unless it is the day of `now`. In the reader's time zone. */
export function clock(moment: string | number, now: string | number): string {
  const [date, today] = [new Date(moment), new Date(now)];
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return date.toDateString() === today.toDateString() ? time : `${shortDate.format(date)}, ${time}`;
}

export const count = (value: number): string => grouped.format(value);

/** `1 person`, `1,240 people`. */
export const people = (value: number): string => counted(value, "person", "people");

export const counted = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`;

/** Milliseconds from one RFC 3339 moment to a later one. */
export const between = (from: string, to: string): number => Date.parse(to) - Date.parse(from);

/** `a`, `a and b`, `a, b and c`. */
export const listed = (names: readonly string[]): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;

/** A word of a closed list, such as `refused_by_environment`, for people. */
export const words = (code: string): string => code.replaceAll("_", " ");
