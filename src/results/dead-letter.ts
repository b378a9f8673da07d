import type { IHeaders, Message } from "kafkajs";
import { z } from "zod";
import { REJECT_REASONS } from "../events/event.ts";
import { lengthOf, type OutgoingRecord, type Part } from "../kafka/outgoing.ts";

/** A consumed record. `headers` are kafkajs' own: a header that came several times is an array. */
export interface OriginalRecord {
  topic: string;
  partition: number;
  offset: number | string;
  key: Buffer | null;
  value: Buffer | null;
  headers?: Readonly<Record<string, unknown>> | undefined;
}

export interface DeadLetterDetails {
  /** A code, such as `invalid_phone`. */
  reason: string;
  /** In words, without a phone number. */
  detail: string;
  /** The environment that refused it; absent if the event went to none. */
  environment?: string | null | undefined;
  attempts?: number | null | undefined;
  httpStatus?: number | null | undefined;
}

const digits = z.string().regex(/^\d+$/);

/**
 * The headers that a dead letter has besides those of its record, as text: what it says of where it comes from and why
 * it is here. `schemas/opt-out-dead-letter.*` are written from it (`schemas/README.md` says how).
 */
export const deadLetterHeaders = z
  .object({
    "__connect.errors.topic": z.string().describe("Topic of the event's record."),
    "__connect.errors.partition": digits.describe("Partition of the event's record."),
    "__connect.errors.offset": digits.describe("Offset of the event's record."),
    "__connect.errors.exception.message": z.string().describe("The reason in words, without a phone number."),
    "optout.reason": z
      .string()
      .describe(`Code of why it was rejected: ${REJECT_REASONS.join(", ")}. New codes may come.`),
    "optout.environment": z
      .string()
      .optional()
      .describe(
        "The environment that refused it; absent if it went to none. One dead letter for each that did.",
      ),
    "optout.attempts": digits.optional().describe("Requests it took, if known."),
    "optout.http.status": digits.optional().describe("Of that environment's last answer, if there was one."),
    "optout.key.omitted.bytes": digits
      .optional()
      .describe("Size of the record's key, if the record was too large to be dead-lettered whole."),
    "optout.value.omitted.bytes": digits.optional().describe("Size of its value, likewise."),
    "optout.headers.omitted.bytes": digits.optional().describe("Size of its own headers, likewise."),
  })
  .meta({
    title: "DeadLetterHeaders",
    description:
      "Headers of a dead letter, as UTF-8 text. The record's own key, value and headers are there too, unchanged.",
  });

type OwnHeaders = z.infer<typeof deadLetterHeaders>;
const isOwn = (name: string): boolean => Object.hasOwn(deadLetterHeaders.shape, name);

/**
 * The dead letter of a record: its key, value and headers as they were, and headers that say where it comes from and why
 * it is here. Of headers with these names, left by an earlier round, the old values go.
 * The record's own timestamp is not taken over: an old one would let the dead letter expire on arrival.
 */
export function deadLetterMessage(original: OriginalRecord, details: DeadLetterDetails): Message {
  const { environment, attempts, httpStatus } = details;
  const added: { [Name in keyof OwnHeaders]: OwnHeaders[Name] | undefined } = {
    "__connect.errors.topic": original.topic,
    "__connect.errors.partition": String(original.partition),
    "__connect.errors.offset": String(original.offset),
    "__connect.errors.exception.message": details.detail,
    "optout.reason": details.reason,
    "optout.environment": environment ?? undefined,
    "optout.attempts": attempts?.toString(),
    "optout.http.status": httpStatus?.toString(),
  };
  const kept = Object.entries(original.headers ?? {})
    .filter(([name]) => !isOwn(name))
    .map(([name, value]) => [name, sendable(value)]);
  const own = Object.entries(added).filter(([, value]) => value !== undefined);
  const headers: IHeaders = Object.fromEntries([...kept, ...own]);
  return { key: original.key, value: original.value, headers };
}

/**
 * The least that a dead letter can be: where its record is and why it was rejected, and how much of it was left out. For
 * a record whose key or headers leave no room even without its value. Undefined for what isn't a dead letter.
 */
export function bareDeadLetter({ key, value, headers = {}, ...rest }: OutgoingRecord): Message | undefined {
  if (headers["__connect.errors.offset"] === undefined) return undefined;
  const own = Object.entries(headers).filter(([name]) => isOwn(name));
  const others = Object.entries(headers).filter(([name]) => !isOwn(name));
  const omitted: { [Name in keyof OwnHeaders]?: number } = {
    "optout.key.omitted.bytes": bytesOf(key),
    "optout.value.omitted.bytes": bytesOf(value),
    "optout.headers.omitted.bytes": others.flat(2).reduce((sum, part) => sum + bytesOf(part), 0),
  };
  const sizes = Object.entries(omitted)
    .filter(([, bytes]) => bytes > 0)
    .map(([name, bytes]) => [name, String(bytes)]);
  return { ...rest, key: null, value: null, headers: Object.fromEntries([...own, ...sizes]) };
}

const bytesOf = (part: Part): number => lengthOf(part ?? "");

/** What kafkajs can send of what it received: it throws on a null header value, so that becomes an empty one. */
const sendable = (value: unknown): Buffer | string | (Buffer | string)[] =>
  Array.isArray(value) ? value.map(sendableOne) : sendableOne(value);

const sendableOne = (value: unknown): Buffer | string =>
  Buffer.isBuffer(value) || typeof value === "string" ? value : Buffer.alloc(0);
