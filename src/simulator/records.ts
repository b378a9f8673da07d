import { z } from "zod";
import { parseJson } from "./json.ts";

/** The most records one request may hold. */
const MAX_RECORDS = 100;

const recordSchema = z.strictObject({
  phoneNumber: z.int().positive().max(999_999_999_999_999),
  expiredDate: z.iso.datetime({ offset: true }).nullish(),
});

const bodySchema = z.strictObject({ dncGroupRecords: z.array(z.unknown()) });

/** One record of a request body; `reason` never quotes a value of it. */
export type DncRecord =
  | { valid: true; phone: string; type: "dncl"; source: null }
  | { valid: true; phone: string; type: "dncl_expiration"; source: null; expirationDate: string }
  | { valid: false; reason: string };

/** `count` is what the body holds, whether or not it is valid. */
export type ParsedRecords =
  | { records: readonly DncRecord[]; count: number }
  | { records: null; count: number; reason: string };

/** 10 digits are a North American number without its calling code. */
export const e164Of = (phoneNumber: number): string => {
  const digits = String(phoneNumber);
  return digits.length === 10 ? `+1${digits}` : `+${digits}`;
};

const recordOf = (given: unknown): DncRecord => {
  const parsed = recordSchema.safeParse(given);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { valid: false, reason: [...(issue?.path ?? []), issue?.message].join(": ") };
  }
  const { phoneNumber, expiredDate } = parsed.data;
  const common = { valid: true, phone: e164Of(phoneNumber), source: null } as const;
  return typeof expiredDate === "string"
    ? { ...common, type: "dncl_expiration", expirationDate: expiredDate }
    : { ...common, type: "dncl" };
};

/** Reads a request body: `{"dncGroupRecords": […]}` with 1 to 100 records, of which each may be wrong by itself. */
export const parseRecords = (bytes: Buffer): ParsedRecords => {
  const body = bodySchema.safeParse(parseJson(bytes)).data;
  if (body === undefined) {
    return { records: null, count: 0, reason: "the body is not a JSON object of dncGroupRecords" };
  }
  const count = body.dncGroupRecords.length;
  if (count === 0 || count > MAX_RECORDS) {
    return { records: null, count, reason: `the body holds ${count} records; 1 to ${MAX_RECORDS} are taken` };
  }
  return { records: body.dncGroupRecords.map(recordOf), count };
};
