import { isRegion } from "../phone/normalize.ts";
import type { Provenance } from "./event.ts";
import { AMBIGUOUS } from "./json.ts";
import { toRfc3339 } from "./timestamp.ts";

/** The field of a decoded record, undefined if it has none of that name. */
export type Fields = (name: string) => unknown;

const MAX_EVENT_ID_LENGTH = 256;
const MAX_SOURCE_LENGTH = 64;
const WORD = /^[A-Za-z0-9_.-]{1,64}$/;
const PRINTABLE_ASCII = /^[ -~]*$/;
const SHORT_LETTERS = /^[A-Za-z]{1,8}$/;

/** Only a record's own properties count: what its prototype offers, no producer has sent. */
export function fieldsOf(record: Record<string, unknown>): Fields {
  return (name) => (Object.hasOwn(record, name) ? record[name] : undefined);
}

/** What decides for whom and how long an opt-out is, and whether it is one. */
const DECISIVE = ["phone", "action", "region", "expiresAt"];

/** The decisive field, if any, that is given more than once with different values. */
export function ambiguousField(fields: Fields): string | undefined {
  for (const name of DECISIVE) if (fields(name) === AMBIGUOUS) return name;
  return undefined;
}

/** Nothing was said: the field is absent, null or blank, as forms send it. */
export const isAbsent = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === "string" && value.trim() === "");

/** What is worth knowing of an event but no reason to lose it: flaws are mended, or the field is taken as not given. */
export function readProvenance(fields: Fields): Provenance {
  return {
    eventId: readEventId(fields("eventId")),
    source: readSource(fields("source")),
    occurredAt: toRfc3339(fields("occurredAt")) ?? null,
  };
}

export const isShortWord = (value: unknown): boolean => typeof value === "string" && WORD.test(value.trim());

function readSource(value: unknown): string {
  const text = textOf(value).trim().slice(0, MAX_SOURCE_LENGTH);
  if (WORD.test(text)) return text;
  return text.replace(/[^A-Za-z0-9_.-]+/g, "_").replace(/^_+|_+$/g, "") || "unknown";
}

function readEventId(value: unknown): string | null {
  // Control characters and lone surrogates would not survive every reader of the status topic.
  const text = textOf(value).trim().slice(0, MAX_EVENT_ID_LENGTH);
  // Nearly always, and four times as fast.
  if (PRINTABLE_ASCII.test(text)) return text || null;
  return text.replace(/[\p{Cc}\p{Cs}]/gu, "") || null;
}

const textOf = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" || typeof value === "bigint" ? String(value) : "";

const NO_REGION = { region: null };
const NEVER = { expiresAt: null };

/** The region a record names (null: none), or what is wrong with it. */
export function readRegion(value: unknown): { region: string | null } | { detail: string } {
  if (isAbsent(value)) return NO_REGION;
  const text = typeof value === "string" ? value.trim() : "";
  if (isRegion(text.toUpperCase())) return { region: text.toUpperCase() };
  const named = SHORT_LETTERS.test(text) ? `region "${text}"` : "region";
  return { detail: `${named} is not a known ISO 3166 alpha-2 code, such as US or GB` };
}

/** When the entry expires (null: never), or what is wrong with it: a bad date must neither be dropped nor kept. */
export function readExpiresAt(value: unknown): { expiresAt: string | null } | { detail: string } {
  if (isAbsent(value)) return NEVER;
  const expiresAt = toRfc3339(value);
  if (expiresAt !== undefined) return { expiresAt };
  return { detail: "expiresAt is not an RFC 3339 date and time, such as 2030-01-31T12:00:00Z" };
}

/** The text of a phone, or what is wrong with it; null if there is none. */
export function readPhone(value: unknown): { text: string } | { detail: string } | null {
  if (isAbsent(value)) return null;
  if (typeof value === "string") return { text: value };
  if (typeof value === "bigint") return value >= 0n ? { text: String(value) } : negative;
  if (typeof value !== "number") {
    return { detail: `phone must be a string, not ${Array.isArray(value) ? "an array" : kindOf(value)}` };
  }
  if (value < 0) return negative;
  if (!Number.isInteger(value)) return { detail: "phone is a number with a fraction: send it as a string" };
  if (!Number.isSafeInteger(value)) return { detail: "phone is too large for a number: send it as a string" };
  return { text: String(value) };
}

const negative = { detail: "phone is a negative number" };

const kindOf = (value: unknown): string => (typeof value === "object" ? "an object" : `a ${typeof value}`);
