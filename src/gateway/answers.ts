import { REJECT_REASONS, type RejectReason } from "../events/event.ts";

/** Why a request is refused though its opt-out may be none to reject, with the status. */
const STATUS_OF = {
  bad_request: 400,
  unauthorized: 401,
  foreign_origin: 403,
  not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  idempotency_key_in_progress: 409,
  too_large: 413,
  unsupported_media_type: 415,
  idempotency_key_reused: 422,
  rate_limited: 429,
  headers_too_large: 431,
  internal: 500,
  kafka_unavailable: 503,
} as const;

/** Why a request is refused. */
export type Reason = RejectReason | keyof typeof STATUS_OF;

/** All that a gateway can have, for callers and metric labels; no environment has been asked yet. */
export const REASONS: readonly Reason[] = [
  ...REJECT_REASONS.filter((reason) => reason !== "refused_by_environment"),
  // Object.keys forgets that it has nothing but the keys.
  ...(Object.keys(STATUS_OF) as (keyof typeof STATUS_OF)[]),
];

/** An opt-out that the relay would reject is 400 here. */
export const statusOf = (reason: Reason): number =>
  new Map<string, number>(Object.entries(STATUS_OF)).get(reason) ?? 400;

/** The body of every refusal; `detail` never holds a phone number or secret. */
export const refusal = (reason: Reason, detail: string) => ({
  status: statusOf(reason) === 400 ? "rejected" : "error",
  reason,
  detail,
});

/** Whole seconds, rounded up: earlier would be refused again. */
export const retryAfter = (milliseconds: number): string =>
  String(Math.max(1, Math.ceil(milliseconds / 1_000)));
