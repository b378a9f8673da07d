import { InvalidArgumentError } from "commander";
import { parseDuration } from "../config/units.ts";
import { toRfc3339 } from "../events/timestamp.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;

/**
 * For commander: a point in time, as RFC 3339 or as how long ago (`90s`, `30m`, `2h`, `14d`) → milliseconds since the
 * epoch, not before it.
 */
export function parseMoment(value: string, now: number = Date.now()): number {
  const days = /^(\d{1,6})d$/.exec(value)?.[1];
  const ago = days === undefined ? parseDuration(value) : Number(days) * DAY_MS;
  if (ago !== undefined) return Math.max(0, now - ago);
  const time = toRfc3339(value);
  if (time !== undefined) return Math.max(0, Date.parse(time));
  throw new InvalidArgumentError(
    "It must be a time such as 2026-03-01T09:00:00Z, or how long ago, such as 90s, 30m, 2h or 14d.",
  );
}
