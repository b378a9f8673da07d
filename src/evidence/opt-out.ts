import type { FoundStatus } from "../inspect/statuses.ts";
import { maskPhone, withoutPhone } from "../phone/normalize.ts";
import type { EnvironmentResult } from "../results/status.ts";

/** One opt-out of the report. Times are RFC 3339 in UTC, with milliseconds; null is what nobody knows. */
export interface OptOut {
  statusId: string;
  phone: string | null;
  source: string;
  eventId: string | null;
  /** When the person asked, as the producer said. */
  askedAt: string | null;
  /** The timestamp of the event's record. */
  receivedAt: string;
  completedAt: string | null;
  outcome: FoundStatus["outcome"];
  reason: string | null;
  detail: string | null;
  idempotencyKey: string | null;
  /** Null: it isn't on the list of every environment. */
  timeToHonourSeconds: number | null;
  /** `at_most`: some environment had it before that, but a restart of the relay lost when. */
  timeToHonourIs: "exact" | "at_most" | null;
  /** `received`: the producer didn't say when the person asked, or named a time after that. */
  countedFrom: "asked" | "received";
  /** The `statusId` of the event that was rejected first, if this one was sent again by `redrive`. */
  redrivenOrigin: string | null;
  environments: EnvironmentResult[];
}

/** Whether it says when the event was received, without which it belongs to no period. */
export const isTimed = ({ origin }: FoundStatus): boolean => !Number.isNaN(Date.parse(origin.timestamp));

/** Pure. @param status one of which `isTimed` is true */
export function optOutOf(status: FoundStatus, { reveal }: { reveal: boolean }): OptOut {
  const { statusId, outcome, reason, detail, idempotencyKey, origin, redriven } = status;
  const shown = (text: string): string => (reveal ? text : withoutPhone(text, status.phone));
  return {
    statusId,
    phone: reveal || status.phone === null ? status.phone : maskPhone(status.phone),
    source: shown(status.source),
    eventId: status.eventId === null ? null : shown(status.eventId),
    askedAt: utc(status.occurredAt),
    receivedAt: new Date(origin.timestamp).toISOString(),
    completedAt: utc(status.completedAt),
    ...{ outcome, reason, detail, idempotencyKey },
    ...timeToHonour(status),
    redrivenOrigin: redriven?.origin ?? null,
    environments: status.environments.map((result) => ({
      ...result,
      acknowledgedAt: utc(result.acknowledgedAt),
    })),
  };
}

/**
 * From when the person asked to the last environment's acknowledgement. Where something isn't known, the longer time is
 * taken: it must not look faster than it was.
 */
function timeToHonour({
  occurredAt,
  origin,
  outcome,
  environments,
  completedAt,
}: FoundStatus): Pick<OptOut, "timeToHonourSeconds" | "timeToHonourIs" | "countedFrom"> {
  const received = Date.parse(origin.timestamp);
  const asked = millis(occurredAt);
  const countedFrom = asked !== null && asked <= received ? "asked" : "received";
  const start = countedFrom === "asked" && asked !== null ? asked : received;
  const unknown = { timeToHonourSeconds: null, timeToHonourIs: null, countedFrom } as const;
  if (outcome !== "delivered" || environments.length === 0) return unknown;
  const times = environments.map(({ acknowledgedAt }) => millis(acknowledgedAt));
  const known = times.filter((time) => time !== null);
  const isExact = known.length === times.length;
  const end = isExact ? Math.max(...known) : millis(completedAt);
  if (end === null) return unknown;
  return {
    // Less than nothing only by clocks that differ.
    timeToHonourSeconds: Math.max(0, end - start) / 1_000,
    timeToHonourIs: isExact ? "exact" : "at_most",
    countedFrom,
  };
}

function millis(time: string | null): number | null {
  const parsed = time === null ? Number.NaN : Date.parse(time);
  return Number.isNaN(parsed) ? null : parsed;
}

function utc(time: string | null): string | null {
  const parsed = millis(time);
  return parsed === null ? null : new Date(parsed).toISOString();
}
