import type { Message } from "kafkajs";
import type { RejectReason } from "../../src/events/event.ts";
import { optOut, phoneOf } from "./scenario.ts";

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

interface BadRecord {
  what: string;
  value: Buffer | string | null;
  reason: RejectReason;
}

/** Everything that a producer may send by mistake, each with the reason that it is rejected for. */
export const BAD: BadRecord[] = [
  { what: "a null value", value: null, reason: "empty_value" },
  { what: "an empty value", value: Buffer.alloc(0), reason: "empty_value" },
  { what: "one zero byte", value: Buffer.from([0]), reason: "undecodable" },
  { what: "a digit", value: "7", reason: "undecodable" },
  { what: "a frame cut short", value: Buffer.from([0, 0, 0, 1]), reason: "undecodable" },
  { what: "four letters", value: "null", reason: "undecodable" },
  { what: "a frame without a registry", value: Buffer.from([0, 0, 0, 0, 1, 2]), reason: "undecodable" },
  { what: "garbage", value: "}{ not json", reason: "undecodable" },
  { what: "invalid UTF-8", value: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), reason: "undecodable" },
  { what: "JSON a hundred thousand levels deep", value: nested(100_000), reason: "undecodable" },
  { what: "a phone as deep", value: `{"phone":${nested(100_000)}}`, reason: "invalid_phone" },
  { what: "a phone too short", value: '{"phone":"12"}', reason: "invalid_phone" },
  {
    what: "no phone but other fields",
    value: '{"telephone":"+12125550123","x":{"y":[1]}}',
    reason: "missing_phone",
  },
  { what: "an opt-in", value: `{"phone":"${phoneOf(1)}","action":"opt_in"}`, reason: "unsupported_action" },
  {
    what: "a date that is none",
    value: `{"phone":"${phoneOf(1)}","expiresAt":"soon"}`,
    reason: "invalid_field",
  },
  {
    what: "900 KB without a phone",
    value: JSON.stringify({ note: "ü".repeat(450_000) }),
    reason: "missing_phone",
  },
  { what: "900 KB of garbage", value: Buffer.alloc(900_000, 0xf7), reason: "undecodable" },
];

/** The events that these are mixed with, odd as some look: phones 1,000 to 1,003. */
export const GOOD: Message[] = [
  optOut(1_000),
  optOut(1_001, { unknown: { nested: [1, "two", null] }, constructor: "x", __proto: 1 }),
  { key: "deep", value: `{"phone":"${phoneOf(1_002)}","extra":${nested(100_000)}}` },
  optOut(1_003, { padding: "x".repeat(900_000) }),
];
