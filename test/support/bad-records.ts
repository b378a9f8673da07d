import { gzipSync } from "node:zlib";
import type { IHeaders, Message } from "kafkajs";
import type { RejectReason } from "../../src/events/event.ts";
import { optOut, phoneOf } from "./scenario.ts";

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

const bare = `{"phone":"${phoneOf(1)}"}`;
const utf16 = Buffer.from(bare, "utf16le");
/** Of JSON that is a phone's value. */
const phoned = (value: string): string => `{"phone":${value}}`;

export interface BadRecord {
  what: string;
  value: Buffer | string | null;
  headers?: IHeaders;
  reason: RejectReason;
  /** Of the detail. */
  says: RegExp;
}

const empty = { reason: "empty_value", says: /^the record has no value/ } as const;
const undecodable = (says: RegExp) => ({ reason: "undecodable", says }) as const;
const invalid = (says: RegExp) => ({ reason: "invalid_phone", says }) as const;
const missing = { reason: "missing_phone", says: /^the field "phone" is missing.*valid JSON\)$/ } as const;
const ambiguous = (name: string) =>
  ({ reason: "ambiguous_field", says: new RegExp(`^${name} is given more than once`) }) as const;

/** Everything that a producer may send by mistake, each with the reason that it is rejected for. */
export const BAD: BadRecord[] = [
  { what: "a null value", value: null, ...empty },
  { what: "an empty value", value: Buffer.alloc(0), ...empty },
  { what: "one zero byte", value: Buffer.from([0]), ...undecodable(/ends after 1 of 5 bytes/) },
  { what: "a frame cut short", value: Buffer.from([0, 0, 0, 1]), ...undecodable(/ends after 4 of 5 bytes/) },
  { what: "a frame of no possible id", value: Buffer.alloc(9), ...undecodable(/not a possible id/) },
  { what: "another magic byte", value: `\u0001\0\0\0\u0007${bare}`, ...undecodable(/the byte 0x01/) },
  { what: "a digit", value: "7", ...undecodable(/^valid JSON, but not an object/) },
  { what: "four letters", value: "null", ...undecodable(/^valid JSON, but not an object/) },
  { what: "an array of one event", value: `[${bare}]`, ...undecodable(/^valid JSON, but not an object/) },
  { what: "garbage", value: "}{ not json", ...undecodable(/^not valid JSON/) },
  { what: "JSON cut short", value: bare.slice(0, -1), ...undecodable(/^not valid JSON/) },
  {
    what: "invalid UTF-8",
    value: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]),
    ...undecodable(/^neither UTF-8/),
  },
  { what: "UTF-16", value: utf16, ...undecodable(/UTF-16/) },
  { what: "UTF-16 of the other kind", value: Buffer.from(utf16).swap16(), ...undecodable(/UTF-16/) },
  { what: "a gzipped value", value: gzipSync(bare), ...undecodable(/^compressed with gzip/) },
  {
    what: "JSON a hundred thousand levels deep",
    value: nested(100_000),
    ...undecodable(/^valid JSON, but not an object/),
  },
  { what: "a phone as deep", value: phoned(nested(100_000)), ...invalid(/not an array$/) },
  { what: "a phone too short", value: phoned('"12"'), ...invalid(/^phone: /) },
  { what: "a phone with a lone surrogate", value: phoned('"+1212\\ud8005550123"'), ...invalid(/^phone: /) },
  { what: "a phone with a fraction", value: phoned("2125550123.5"), ...invalid(/fraction/) },
  { what: "a negative phone", value: phoned("-2125550123"), ...invalid(/negative/) },
  { what: "a phone beyond all numbers", value: phoned("1e300"), ...invalid(/too large/) },
  { what: "a boolean for a phone", value: phoned("true"), ...invalid(/not a boolean$/) },
  { what: "an object for a phone", value: phoned(bare), ...invalid(/not an object$/) },
  { what: "two phones", value: `{"phone":"${phoneOf(1)}","phone":"${phoneOf(2)}"}`, ...ambiguous("phone") },
  {
    what: "an opt-out that is an opt-in as well",
    value: `{"action":"opt_in","phone":"${phoneOf(1)}","action":"opt_out"}`,
    ...ambiguous("action"),
  },
  { what: "no phone but other fields", value: '{"telephone":"+12125550123","x":{"y":[1]}}', ...missing },
  {
    what: "an opt-in",
    value: `{"phone":"${phoneOf(1)}","action":"opt_in"}`,
    reason: "unsupported_action",
    says: /^action must be "opt_out"/,
  },
  {
    what: "a date that is none",
    value: `{"phone":"${phoneOf(1)}","expiresAt":"soon"}`,
    reason: "invalid_field",
    says: /^expiresAt is not/,
  },
  { what: "900 KB without a phone", value: JSON.stringify({ note: "ü".repeat(450_000) }), ...missing },
  { what: "900 KB of garbage", value: Buffer.alloc(900_000, 0xf7), ...undecodable(/^neither UTF-8/) },
];

/** Only where no registry is configured. */
export const BAD_WITHOUT_REGISTRY: BadRecord = {
  what: "a frame without a registry",
  value: Buffer.from([0, 0, 0, 0, 1, 2]),
  ...undecodable(/set schemaRegistry\.url$/),
};

/** The events that these are mixed with, odd as some look: phones 1,000 to 1,005. */
export const GOOD: Message[] = [
  optOut(1_000),
  optOut(1_001, { unknown: { nested: [1, "two", null] }, constructor: "x", __proto: 1 }),
  { key: "deep", value: `{"phone":"${phoneOf(1_002)}","extra":${nested(100_000)}}` },
  optOut(1_003, { padding: "x".repeat(900_000) }),
  { key: "marked", value: `\ufeff{"phone":"${phoneOf(1_004)}"}` },
  { key: "twice", value: `{"phone":"${phoneOf(1_005)}","eventId":"a\\ud800","phone":"${phoneOf(1_005)}"}` },
];

const ODD_WORDS = [
  "+12125550123",
  "2125550123",
  'a",evil="1',
  "line\nbreak",
  "x".repeat(5_000),
  "\u202e\ud83d\ude00",
  "__proto__",
  "{}",
  "",
];

/** Records that say odd things wherever a producer may say something, and all the bad ones. */
export const hostileRecords = (): Message[] => [
  ...[...BAD, BAD_WITHOUT_REGISTRY].map(({ value, headers = {} }) => ({
    key: "+12125550123",
    value,
    headers,
  })),
  ...ODD_WORDS.flatMap((word, index) => [
    optOut(2_000 + index, { source: word, eventId: word, reason: word, outcome: word, trigger: word }),
    optOut(2_100 + index, { region: word, occurredAt: word, environment: word, partition: word }),
    optOut(2_200 + index, { action: word, expiresAt: word }),
    {
      ...optOut(2_300 + index),
      headers: { source: word, ce_specversion: "1.0", ce_type: word, ce_source: word },
    },
    { key: word, value: word, headers: { "content-type": word, "optout.reason": word } },
  ]),
];
