import type { IHeaders } from "kafkajs";
import { z } from "zod";

/** `topic:partition:offset` with a topic's name as Kafka allows it: the `statusId` of an event. */
const statusId = z.string().regex(/^[\w.-]{1,249}:\d{1,10}:\d{1,19}$/);

/**
 * The headers that tell an event that was redriven from one that a producer sent. Its status has them too, and so does its
 * dead letter if it is rejected once more: as headers of the record that it keeps.
 */
export const redrivenHeaders = z
  .object({
    "optout.redriven.origin": statusId.describe("statusId of the event that was rejected first."),
    "optout.redriven.from": statusId.describe("statusId of the rejected event that this one repeats."),
    "optout.redriven.at": z.string().max(40).describe("When it was sent again, RFC 3339."),
    "optout.redriven.count": z
      .string()
      .regex(/^\d{1,9}$/)
      .describe("How often it was sent again."),
  })
  .meta({ title: "RedrivenHeaders", description: "Headers of an event that was redriven, as UTF-8 text." });

export interface Redriven {
  /** The event that was rejected first, by its `statusId`. */
  origin: string;
  /** The rejected event that this one repeats, by its `statusId`. */
  from: string;
  /** RFC 3339. */
  at: string;
  count: number;
}

const NAMES = Object.keys(redrivenHeaders.shape);
export const isRedrivenHeader = (name: string): boolean => Object.hasOwn(redrivenHeaders.shape, name);

/**
 * What the headers of a record, as kafkajs has them, say of its having been redriven; undefined if it wasn't, or if they
 * are not as `redrive` writes them. So what comes out of this is bounded, whoever wrote the record.
 */
export function readRedriven(headers: Readonly<Record<string, unknown>> = {}): Redriven | undefined {
  if (headers["optout.redriven.from"] === undefined) return undefined;
  const read = redrivenHeaders.safeParse(textHeaders(headers, NAMES)).data;
  return (
    read && {
      origin: read["optout.redriven.origin"],
      from: read["optout.redriven.from"],
      at: read["optout.redriven.at"],
      count: Number(read["optout.redriven.count"]),
    }
  );
}

/** The inverse of `readRedriven`. */
export function writeRedriven({ origin, from, at, count }: Redriven): IHeaders {
  const headers: z.infer<typeof redrivenHeaders> = {
    "optout.redriven.origin": origin,
    "optout.redriven.from": from,
    "optout.redriven.at": at,
    "optout.redriven.count": String(count),
  };
  return headers;
}

/** Those of these headers that come once, as text. */
export function textHeaders(
  headers: Readonly<Record<string, unknown>>,
  names: readonly string[],
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
    if (Buffer.isBuffer(value) || typeof value === "string") found[name] = value.toString();
  }
  return found;
}
