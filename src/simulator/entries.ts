import { z } from "zod";
import { parseJson } from "./json.ts";

/** The most entries one request may hold. */
export const MAX_ENTRIES = 1000;

const phone = z.string().regex(/^\+[1-9]\d{1,14}$/, "must be an E.164 number");
const source = z.string().min(1).max(256);

const permanent = z.strictObject({ phone, type: z.literal("dncl"), source });
const expiring = z.strictObject({
  phone,
  type: z.literal("dncl_expiration"),
  source,
  expirationDate: z.iso.datetime({ offset: true }),
});

// The plain union takes half the time, the discriminated one knows the reason: the latter is for failures alone.
const entriesSchema = z.array(z.union([permanent, expiring]));
const entrySchema = z.discriminatedUnion("type", [permanent, expiring]);

/** One phone of a request body. */
export type Entry = z.output<typeof entrySchema>;

/** `count` is what the body holds, whether or not it is valid; `reason` never quotes a value of the body. */
export type ParsedEntries =
  | { entries: readonly Entry[]; count: number }
  | { entries: null; count: number; reason: string };

/** What is wrong with the first entry at fault. */
const reasonOf = (body: readonly unknown[]): string => {
  for (const [index, item] of body.entries()) {
    const issue = entrySchema.safeParse(item).error?.issues[0];
    if (issue !== undefined) return [`entry ${index}`, ...issue.path, issue.message].join(": ");
  }
  return "an entry is not valid";
};

/** Reads a request body: a JSON array of 1 to 1,000 entries. */
export const parseEntries = (bytes: Buffer): ParsedEntries => {
  const body = parseJson(bytes);
  if (body === undefined) return { entries: null, count: 0, reason: "the body is not JSON" };
  if (!Array.isArray(body)) return { entries: null, count: 0, reason: "the body is not a JSON array" };
  const count = body.length;
  if (count === 0 || count > MAX_ENTRIES) {
    return { entries: null, count, reason: `the body holds ${count} entries; 1 to ${MAX_ENTRIES} are taken` };
  }
  const parsed = entriesSchema.safeParse(body);
  return parsed.success ? { entries: parsed.data, count } : { entries: null, count, reason: reasonOf(body) };
};
