/** An opt-out, read and normalised: what a batch's entry is made of. */
export interface OptOutEvent {
  /** E.164. */
  phone: string;
  type: "dncl" | "dncl_expiration";
  /** RFC 3339; null for the type `dncl`. */
  expiresAt: string | null;
  /** A short word: 1 to 64 of letters, digits, `_`, `-`, `.`. */
  source: string;
  eventId: string | null;
  /** RFC 3339: when the person asked. */
  occurredAt: string | null;
}

/** Why an event was not delivered: a closed list, for status records, dead letters and metric labels. */
export const REJECT_REASONS = [
  "empty_value",
  "undecodable",
  "unknown_schema",
  "unsupported_cloudevent",
  "missing_phone",
  "invalid_phone",
  "unsupported_action",
  "invalid_field",
  "ambiguous_field",
  "refused_by_environment",
] as const;

export type RejectReason = (typeof REJECT_REASONS)[number];

/** What little is known of an event before, or without, its phone. */
export interface Provenance {
  eventId: string | null;
  source: string;
  occurredAt: string | null;
}

/** A rejected event keeps its provenance, so that its producer can find it again. `detail` never holds a phone number. */
export interface Rejected extends Provenance {
  ok: false;
  reason: RejectReason;
  detail: string;
}

export type Decoded = { ok: true; event: OptOutEvent } | Rejected;
