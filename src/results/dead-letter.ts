import type { IHeaders, Message } from "kafkajs";

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

/** What a dead letter says of where it comes from and why it is here. */
const OWN_HEADERS = [
  "__connect.errors.topic",
  "__connect.errors.partition",
  "__connect.errors.offset",
  "__connect.errors.exception.message",
  "optout.reason",
  "optout.environment",
  "optout.attempts",
  "optout.http.status",
] as const;

/**
 * The dead letter of a record: its key, value and headers as they were, and headers that say where it comes from and why
 * it is here. Of headers with these names, left by an earlier round, the old values go.
 * The record's own timestamp is not taken over: an old one would let the dead letter expire on arrival.
 */
export function deadLetterMessage(original: OriginalRecord, details: DeadLetterDetails): Message {
  const { environment, attempts, httpStatus } = details;
  const added: Record<(typeof OWN_HEADERS)[number], string | undefined> = {
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
    .filter(([name]) => !Object.hasOwn(added, name))
    .map(([name, value]) => [name, sendable(value)]);
  const own = Object.entries(added).filter(([, value]) => value !== undefined);
  const headers: IHeaders = Object.fromEntries([...kept, ...own]);
  return { key: original.key, value: original.value, headers };
}

/**
 * The least that a dead letter can be: where its record is and why it was rejected, and how much of it was left out. For
 * a record whose key or headers leave no room even without its value. Undefined for what isn't a dead letter.
 */
export function bareDeadLetter({ key, value, headers = {}, ...rest }: Message): Message | undefined {
  if (headers["__connect.errors.offset"] === undefined) return undefined;
  const isOwn = (name: string): boolean => OWN_HEADERS.some((own) => own === name);
  const own = Object.entries(headers).filter(([name]) => isOwn(name));
  const others = Object.entries(headers).filter(([name]) => !isOwn(name));
  const omitted = {
    "optout.key.omitted.bytes": bytesOf(key),
    "optout.value.omitted.bytes": bytesOf(value),
    "optout.headers.omitted.bytes": others.flat(2).reduce((sum, part) => sum + bytesOf(part), 0),
  };
  const sizes = Object.entries(omitted)
    .filter(([, bytes]) => bytes > 0)
    .map(([name, bytes]) => [name, String(bytes)]);
  return { ...rest, key: null, value: null, headers: Object.fromEntries([...own, ...sizes]) };
}

const bytesOf = (part: Buffer | string | null | undefined): number =>
  part === null || part === undefined ? 0 : Buffer.byteLength(part);

/**
 * What kafkajs can send of what it received. It throws on a null header value, so that becomes an empty one. And it reads
 * a header named like a member of Object.prototype as an array beginning with that member, which nobody sent.
 */
function sendable(value: unknown): Buffer | string | (Buffer | string)[] {
  if (Array.isArray(value)) return value.filter((item) => typeof item !== "function").map(sendableOne);
  return sendableOne(value);
}

const sendableOne = (value: unknown): Buffer | string =>
  Buffer.isBuffer(value) || typeof value === "string" ? value : Buffer.alloc(0);
